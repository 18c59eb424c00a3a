"""Imported models give TorchXRayVision's scores: theirs from their source and their preparation, ours from our command.

No published weight file is at hand: theirs is made in its format with random weights by `tests.support`.
"""

import logging
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer import bundle, center_crop, weights, xrv
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.infer.networks.resnet import ResNet
from cxr_node.infer.published import Recentered
from cxr_node.infer.reader import Reader
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from tests.support import films

PACKAGES = Path(sys.prefix) / "reference"
"""Where `make test` puts TorchXRayVision, out of the way of everything else."""

NETWORKS: Mapping[xrv.Architecture, type[DenseNet | ResNet]] = {
    xrv.Architecture.DENSENET121: DenseNet,
    xrv.Architecture.RESNET50: ResNet,
}

_log = logging.getLogger(__name__)

SAMPLES = ("RG1_JLSN", "RG3_RLE", "CR-MONO1-10-chest")

pytestmark = pytest.mark.skipif(
    not (PACKAGES / "torchxrayvision").is_dir(), reason=f"no torchxrayvision in {PACKAGES}; `make test` puts it there"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The weight file that TorchXRayVision read, and what it computed with it."""

    model: xrv.Published
    file: Path
    films: list[Radiograph]
    inputs: npt.NDArray[np.float32]
    """The films as TorchXRayVision prepares them, shape (films, 1, size, size)."""
    scores: npt.NDArray[np.float32]
    """Of the outputs that were trained, shape (films, labels)."""
    exact_scores: npt.NDArray[np.float64]
    """The same, computed in 64 bits."""

    def network(self) -> Recentered:
        """Return our network with the file's weights."""
        network = NETWORKS[self.model.architecture](xrv.OUTPUTS)
        unmatched = network.load_state_dict(weights.read(self.file), strict=False)
        assert not unmatched.missing_keys
        assert not unmatched.unexpected_keys
        numbers, thresholds = zip(*self.model.trained.values(), strict=True)
        return Recentered(network, outputs=numbers, thresholds=thresholds).eval()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reference]:
    @cache
    def compute(name: str) -> Reference:
        folder = tmp_path_factory.mktemp("reference")
        stored = some_films()
        np.savez(folder / "films.npz", *stored)
        subprocess.run(
            [sys.executable, "-m", "tests.support.xrv_reference", PACKAGES, folder, name], cwd=films.ROOT, check=True
        )
        model = xrv.MODELS[name]
        trained = [number for number, _ in model.trained.values()]
        return Reference(
            model=model,
            file=folder / model.file,
            films=[radiograph(film) for film in stored],
            inputs=np.load(folder / "inputs.npy"),
            scores=np.load(folder / "scores.npy")[:, trained],
            exact_scores=np.load(folder / "exact_scores.npy")[:, trained],
        )

    return compute


@contextmanager
def double_precision() -> Iterator[None]:
    """Let modules be built, and run, in 64 bits."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def rounding_bound(theirs: Reference) -> npt.NDArray[np.float64]:
    """Return by how much two correct float32 computations of each score may differ, shape (films, labels).

    A logit is a sum of weights times features. Each layer rounds, so a feature is wrong by about sqrt(layers) units of
    roundoff, eps / 2, if roundings are independent; kernels differ in the order of their sums and so in all of these.
    The logit is wrong by that share of the sum of its absolute terms, which random weights make far larger than the
    logit. The difference of two computations is sqrt(2) times that, and a score changes by at most half of its logit.
    """
    with double_precision(), torch.inference_mode():
        ours = theirs.network().double()
        features = torch.cat([ours.network.grid(film[None]) for film in torch.from_numpy(theirs.inputs).double()])  # type: ignore[operator]  # a Classifier, held as a Module
        terms = features.mean((2, 3)).abs() @ ours.logits.weight.abs().T + ours.logits.bias.abs()
    layers = sum(isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear) for module in ours.modules())
    share = math.sqrt(2 * layers) * float(np.finfo(np.float32).eps) / 2
    bound: npt.NDArray[np.float64] = terms.numpy() * share / 2
    return bound


def assert_same_scores(scores: npt.NDArray[np.floating], theirs: Reference) -> None:
    """Compare float32 scores with TorchXRayVision's."""
    assert_scores_differ_by_film(theirs.scores)
    difference = np.abs(scores - theirs.scores)
    largest = float(difference.max())
    _log.info("%s: %d films, largest difference of scores %.1e", theirs.model.name, len(theirs.films), largest)
    assert (difference <= rounding_bound(theirs)).all()


def some_films() -> list[npt.NDArray[np.generic]]:
    """Return real films where there are some: DICOM samples as displayed, others of 8 bits; and always two made."""
    synthetic = [films.dx(rows=700, columns=600), films.cr(rows=300, columns=410)]
    paths = [path for path in (films.FILMS / "dicom" / f"{name}.dcm" for name in SAMPLES) if path.is_file()]
    read = [*synthetic, *(films.with_file_meta(path) for path in paths)]
    shown: list[npt.NDArray[np.generic]] = [pixels.radiograph(film, limits=Limits()).p_values for film in read]
    pictures = sorted((films.FILMS / "nih").glob("*.png"))[:2]
    return shown + [np.asarray(Image.open(path).convert("L")) for path in pictures]


def radiograph(stored: npt.NDArray[np.generic]) -> Radiograph:
    p_values = stored.astype(np.uint16) * (257 if stored.dtype == np.uint8 else 1)
    rows, columns = stored.shape
    return Radiograph(p_values=p_values, geometry=Geometry(rows=rows, columns=columns), grayscale="as stored")


def assert_scores_differ_by_film(scores: npt.NDArray[np.floating]) -> None:
    """Scores at 0, 1 or 0.5 for every film would agree whatever the network did."""
    assert scores.std(axis=0).min() > 0.01
    assert ((scores > 0.5).any(axis=0) & (scores < 0.5).any(axis=0)).mean() > 0.8


def scores_in_float64(theirs: Reference) -> npt.NDArray[np.float64]:
    """Return the scores of our network on the films as TorchXRayVision prepares them, shape (films, labels)."""
    with double_precision(), torch.inference_mode():
        ours = theirs.network().double()
        ours.threshold = torch.tensor([threshold for _, threshold in theirs.model.trained.values()])
        films_at_double = torch.from_numpy(theirs.inputs).double()
        scores: npt.NDArray[np.float64] = (
            torch.cat([ours(film[None])["finding_logits"] for film in films_at_double]).sigmoid().numpy()
        )
    return scores


each_architecture = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            "densenet121-res224-all",
            marks=pytest.mark.ci(
                short="tests/unit/infer/test_infer_anatomy_import.py::test_our_network_computes_what_theirs_does"
            ),
        ),
        pytest.param("resnet50-res512-all", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)


@each_architecture
def test_our_network_and_preparation_give_their_scores(name: str, reference: Callable[[str], Reference]) -> None:
    theirs = reference(name)
    inputs = np.stack([center_crop.prepare(film.p_values, theirs.model.size) for film in theirs.films])
    # One unit in the last place of the largest value.
    assert np.abs(inputs - theirs.inputs[:, 0]).max() <= np.finfo(np.float32).eps * center_crop.VALUE_RANGE[1]

    ours = theirs.network()
    with torch.inference_mode():
        scores = torch.cat([ours(film[None, None])["finding_logits"] for film in torch.from_numpy(inputs)])
    assert_same_scores(scores.sigmoid().numpy(), theirs)

    # In 64 bits rounding is out of the way: the same inputs and weights give the same scores.
    assert_scores_differ_by_film(theirs.exact_scores)
    assert np.abs(scores_in_float64(theirs) - theirs.exact_scores).max() <= 1e-9


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["densenet121-res224-all", "densenet121-res224-chex", "resnet50-res512-all"])
def test_an_imported_bundle_reads_films_as_they_do(
    name: str, reference: Callable[[str], Reference], tmp_path: Path
) -> None:
    theirs = reference(name)
    folder = tmp_path / "imported"
    digest = digest_of(theirs.file.read_bytes())

    options = ["--weights", str(theirs.file), "--to", str(folder), "--sha256", digest]
    arguments = ["bundle", "import-xrv", name, *options]
    ended = subprocess.run(
        [sys.executable, "-m", "cxr_node", *arguments], cwd=films.ROOT, capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stderr
    opened = bundle.load(folder)
    assert opened.card.source is not None
    assert opened.card.source.file_sha256 == digest
    predictions = Reader(opened, device="cpu").read(theirs.films)
    scores = np.array([[finding.score for finding in predicted.findings] for predicted in predictions])
    assert len(opened.card.labels) == theirs.scores.shape[1]
    assert_same_scores(scores, theirs)
    assert all(finding.operating_point == 0.5 for predicted in predictions for finding in predicted.findings)


def test_what_is_known_of_the_published_models_is_what_they_state() -> None:
    output = subprocess.run(
        [sys.executable, "-c", _STATED, PACKAGES], cwd=films.ROOT, check=True, capture_output=True, text=True
    ).stdout
    stated = {line.split("|")[0]: line.split("|")[1:] for line in output.splitlines() if line.count("|") == 4}

    for name, model in xrv.MODELS.items():
        url, size, labels, thresholds = stated[name]
        numbers = [float(number) for number in thresholds.split(",")]
        assert (model.url, model.size) == (url, int(size))
        outputs = enumerate(zip(labels.split(","), numbers, strict=True))
        trained = {label: (number, value) for number, (label, value) in outputs if not math.isnan(value)}
        assert model.trained == trained


_STATED = """
import sys; from pathlib import Path; from tests.support.xrv_reference import imported
for name, stated in imported(Path(sys.argv[1])).models.model_urls.items():
    lists = (",".join(map(str, stated[key])) for key in ("labels", "op_threshs"))
    print(name, stated["weights_url"], stated["input_resolution"], *lists, sep="|")
"""
