"""Reader: films through a network on its device."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.infer import bundle
from cxr_node.infer.bundle import Bundle, BundleError
from cxr_node.infer.reader import Precision, Reader, choose_device, in_bfloat16
from tests.support import tiny_bundles
from tests.support.built_in import built_in_bundle
from tests.support.films import FILMS, needs_real_films
from training.datasets import radiograph


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle.load(tiny_bundles.bundle(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def built_in() -> Reader:
    return Reader(built_in_bundle(), device="cpu")


def test_each_film_gets_its_prediction_in_order(opened: Bundle) -> None:
    reader = Reader(opened, device="cpu")
    reader.warm_up()
    films = [tiny_bundles.film(seed, rows=60 + seed) for seed in range(3)]

    predictions = reader.read(films)

    assert [prediction.analysed_area.outline[2] for prediction in predictions] == [
        (50.0, 60.0),
        (50.0, 61.0),
        (50.0, 62.0),
    ]
    assert all(prediction.model == reader.identity for prediction in predictions)
    assert [finding.key for finding in predictions[0].findings] == ["lung_opacity"]


def test_a_reading_is_bit_identical_whatever_its_batch(opened: Bundle) -> None:
    films = [tiny_bundles.film(seed) for seed in range(5)]

    together = Reader(opened, device="cpu").read(films)
    alone = [Reader(opened, device="cpu").read([film])[0] for film in films]

    assert list(together) == alone


@pytest.fixture(scope="module")
def read_alone(built_in: Reader) -> tuple[Prediction, ...]:
    return built_in.read(_films())


def _films() -> list[Radiograph]:
    return [tiny_bundles.film(seed, rows=300, columns=280) for seed in range(4)]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_equal_batches_give_equal_bits_and_any_batch_the_same_scores(
    read_alone: tuple[Prediction, ...], size: int
) -> None:
    """Determinism of the network itself on the CPU: the reader adds nothing that depends on the batch."""
    network = built_in_bundle()
    program = network.program(torch.device("cpu"))

    def together() -> tuple[Prediction, ...]:
        return Reader(network, device="cpu", program=program, batch_size=size).read(_films())

    first, second = together(), together()

    assert first == second
    scores = [[prediction.findings[0].score for prediction in batch] for batch in (first, read_alone)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    if size == 1:
        assert first == read_alone


def test_bfloat16_is_within_its_tolerance_and_returns_float32(read_alone: tuple[Prediction, ...]) -> None:
    """Mixed precision of a GPU, computed on the CPU."""
    network = built_in_bundle()
    rounded = in_bfloat16(network.program(torch.device("cpu")), torch.device("cpu"))
    rough = Reader(network, device="cpu", program=rounded).read(_films()[:2])

    scores = [[prediction.findings[0].score for prediction in batch] for batch in (rough, read_alone[:2])]

    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert scores[0] != scores[1]


def test_on_the_cpu_precision_and_batch_size_change_nothing(opened: Bundle) -> None:
    reader = Reader(opened, device="cpu", precision=Precision.BFLOAT16, batch_size=4)
    film = tiny_bundles.film()

    assert reader.batch_size == 1
    assert reader.identity == opened.identity
    assert reader.read([film]) == Reader(opened, device="cpu").read([film])


def test_every_output_of_a_network_reaches_the_prediction(tmp_path: Path) -> None:
    changes = (
        (r"(outputs = .*)", r"\1\nmaps_window = [0.0, 0.0, 0.5, 1.0]"),
        (r"undetermined_from = 0.4", "undetermined_from = 0.0"),
        (r"score = 0.5", "score = 0.0"),
        (r"undetermined_to = 0.6", "undetermined_to = 0.0"),
    )
    reader = Reader(bundle.load(tiny_bundles.whole_bundle(tmp_path, changes=changes)), device="cpu")

    (prediction,) = reader.read([tiny_bundles.film()])

    assert [structure.key for structure in prediction.structures] == list(tiny_bundles.STRUCTURES)
    assert all(bool(structure.regions) == (structure.confidence >= 0.5) for structure in prediction.structures)
    assert any(structure.regions for structure in prediction.structures)
    assert prediction.appearance is not None
    assert prediction.appearance.limit == 4.0
    assert 0.25 <= prediction.appearance.score <= 1.0
    (finding,) = prediction.findings
    assert finding.calibrated
    assert max(column for region in finding.regions for column, _ in region.outline) <= 25.0  # half the film's width


def test_no_films_give_no_predictions(opened: Bundle) -> None:
    assert Reader(opened, device="cpu").read([]) == ()


def test_a_batch_too_large_for_the_memory_is_halved_until_it_fits(opened: Bundle) -> None:
    program = opened.program(torch.device("cpu"))
    sizes: list[int] = []

    def small(batch: torch.Tensor) -> "dict[str, torch.Tensor]":
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("no memory")
        return dict(program(batch))

    films = [tiny_bundles.film(seed) for seed in range(8)]
    predictions = Reader(opened, device="cpu", program=small).read(films)

    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    expected = [prediction.findings[0].score for prediction in Reader(opened, device="cpu").read(films)]
    assert [prediction.findings[0].score for prediction in predictions] == pytest.approx(expected, abs=1e-6)


def test_a_film_that_does_not_fit_the_gpu_alone_is_read_on_the_cpu(opened: Bundle) -> None:
    def none(batch: torch.Tensor) -> "dict[str, torch.Tensor]":
        raise torch.OutOfMemoryError("no memory")

    film = tiny_bundles.film()

    assert Reader(opened, device="cpu", program=none).read([film]) == Reader(opened, device="cpu").read([film])


def test_a_film_that_the_network_fails_on_is_given_up(opened: Bundle) -> None:
    def broken(batch: torch.Tensor) -> "dict[str, torch.Tensor]":
        raise RuntimeError("shapes do not match")

    with pytest.raises(GiveUp, match="shapes do not match") as caught:
        Reader(opened, device="cpu", program=broken).read([tiny_bundles.film()])

    assert caught.value.reason is Reason.MODEL_ERROR


def test_a_film_with_scores_that_are_not_finite_is_given_up(opened: Bundle) -> None:
    def sick(batch: torch.Tensor) -> "dict[str, torch.Tensor]":
        return {"finding_logits": torch.full((len(batch), 1), torch.nan)}

    with pytest.raises(GiveUp, match="not finite"):
        Reader(opened, device="cpu", program=sick).read([tiny_bundles.film()])


@pytest.mark.parametrize("wanted", ["gpu", "cuda:x", "cuda:99", ""])
def test_a_device_that_does_not_exist_is_refused_naming_the_setting(wanted: str) -> None:
    with pytest.raises(BundleError, match=f"device {wanted!r}"):
        choose_device(wanted)


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert choose_device("auto") == torch.device("cpu")


def test_the_built_in_bundle_reads_an_image_that_is_no_film(built_in: Reader) -> None:
    rows, columns = np.mgrid[0:300, 0:250]
    p_values = ((np.sin(rows / 40) + np.cos(columns / 30) + 2) * 16000).astype(np.uint16)
    film = Radiograph(p_values=p_values, geometry=Geometry(rows=300, columns=250), grayscale="drawn")

    (prediction,) = built_in.read([film])

    assert [finding.key for finding in prediction.findings] == ["lung_opacity", "pleural_effusion"]
    assert 0.0 <= prediction.findings[0].score <= 1.0
    assert "Research use only" in built_in_bundle().card.intended_use


@needs_real_films
def test_the_built_in_bundle_separates_edema_from_no_finding(built_in: Reader) -> None:
    with (FILMS / "nih.csv").open(newline="") as lines:
        rows = [(row["file"], row["labels"].split("|")) for row in csv.DictReader(lines)]
    shown = [name for name, labels in rows if "Edema" in labels][:8]
    clear = [name for name, labels in rows if labels == ["No Finding"]][:8]

    findings = [built_in.read([radiograph(FILMS / "nih" / name)])[0].findings[0] for name in [*shown, *clear]]

    scores = [finding.score for finding in findings]
    assert np.mean(scores[:8]) > np.mean(scores[8:]) + 0.2
    assert all(bool(finding.regions) == (finding.presence is Presence.PRESENT) for finding in findings)
