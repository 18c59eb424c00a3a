"""Imported models give TorchXRayVision's scores: theirs from their source and their preparation, ours from our command.

No published weight file is at hand: theirs is made in its format with random weights by `tests.support`.
"""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Geometry, Radiograph
from cxr_node.infer import bundle, center_crop, weights, xrv
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.infer.networks.resnet import ResNet
from cxr_node.infer.published import Recentred
from cxr_node.infer.reader import Reader
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from tests.support import films

PACKAGES = Path(sys.prefix) / "reference"
"""Where `make test` puts TorchXRayVision, out of the way of everything else."""

_log = logging.getLogger(__name__)

TOLERANCE = 1e-5
SAMPLES = ("RG1_JLSN", "RG3_RLE", "CR-MONO1-10-chest")

pytestmark = pytest.mark.skipif(
    not (PACKAGES / "torchxrayvision").is_dir(), reason=f"no torchxrayvision in {PACKAGES}; `make test` puts it there"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What TorchXRayVision says of films, and the weight file that it read."""

    model: xrv.Published
    file: Path
    films: list[Radiograph]
    scores: npt.NDArray[np.float32]
    """Shape (films, 18)."""

    @property
    def expected(self) -> npt.NDArray[np.float32]:
        """The scores of outputs that were trained, shape (films, labels)."""
        return self.scores[:, [number for number, _ in self.model.trained.values()]]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reference]:
    def made(name: str) -> Reference:
        folder = tmp_path_factory.mktemp("reference")
        stored = some_films()
        np.savez(folder / "films.npz", *stored)
        subprocess.run(
            [sys.executable, "-m", "tests.support.xrv_reference", PACKAGES, folder, name], cwd=films.ROOT, check=True
        )
        model = xrv.MODELS[name]
        shown = [radiograph(film) for film in stored]
        return Reference(model=model, file=folder / model.file, films=shown, scores=np.load(folder / "scores.npy"))

    return made


def some_films() -> list[npt.NDArray[np.generic]]:
    """Return real films where there are some: DICOM samples as displayed, others of 8 bits; and always two made."""
    made = [films.dx(rows=700, columns=600), films.cr(rows=300, columns=410)]
    paths = [path for path in (films.FILMS / "dicom" / f"{name}.dcm" for name in SAMPLES) if path.is_file()]
    read = [*made, *(films.with_file_meta(path) for path in paths)]
    shown: list[npt.NDArray[np.generic]] = [pixels.radiograph(each, limits=Limits()).p_values for each in read]
    pictures = sorted((films.FILMS / "nih").glob("*.png"))[:2]
    return shown + [np.asarray(Image.open(path).convert("L")) for path in pictures]


def radiograph(stored: npt.NDArray[np.generic]) -> Radiograph:
    p_values = stored.astype(np.uint16) * (257 if stored.dtype == np.uint8 else 1)
    rows, columns = stored.shape
    return Radiograph(p_values=p_values, geometry=Geometry(rows=rows, columns=columns), grayscale="as stored")


def assert_tells_films_apart(scores: npt.NDArray[np.float32]) -> None:
    """Scores at 0, 1 or 0.5 for every film would agree whatever the network did."""
    assert scores.std(axis=0).min() > 0.01
    assert ((scores > 0.5).any(axis=0) & (scores < 0.5).any(axis=0)).mean() > 0.8


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("densenet121-res224-all", DenseNet),
        pytest.param("resnet50-res512-all", ResNet, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_our_network_and_preparation_give_the_scores_of_theirs(
    name: str, network: type[DenseNet | ResNet], reference: Callable[[str], Reference]
) -> None:
    theirs = reference(name)
    ours = network(xrv.OUTPUTS)
    left = ours.load_state_dict(weights.read(theirs.file), strict=False)
    assert not left.missing_keys
    assert not left.unexpected_keys
    numbers, thresholds = zip(*theirs.model.trained.values(), strict=True)
    recentred = Recentred(ours, kept=numbers, thresholds=thresholds).eval()

    batch = torch.from_numpy(np.stack([center_crop.prepare(each.p_values, theirs.model.size) for each in theirs.films]))
    with torch.inference_mode():
        scores = torch.cat([recentred(film[None, None])["finding_logits"] for film in batch]).sigmoid().numpy()

    assert_tells_films_apart(theirs.expected)
    difference = float(np.abs(scores - theirs.expected).max())
    _log.info("%s: %d films, largest difference of scores %.1e", name, len(theirs.films), difference)
    assert difference <= TOLERANCE


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
    scores = np.array([[finding.score for finding in each.findings] for each in predictions])
    assert len(opened.card.labels) == theirs.expected.shape[1]
    assert_tells_films_apart(theirs.expected)
    difference = float(np.abs(scores - theirs.expected).max())
    _log.info("%s: %d films, largest difference of scores %.1e", name, len(theirs.films), difference)
    assert difference <= TOLERANCE
    assert all(finding.operating_point == 0.5 for each in predictions for finding in each.findings)


def test_what_is_known_of_the_published_models_is_what_they_state() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _STATED, PACKAGES], cwd=films.ROOT, check=True, capture_output=True, text=True
    ).stdout
    stated = {line.split("|")[0]: line.split("|")[1:] for line in said.splitlines() if line.count("|") == 4}

    for name, model in xrv.MODELS.items():
        url, size, labels, thresholds = stated[name]
        numbers = [float(number) for number in thresholds.split(",")]
        assert (model.url, model.size) == (url, int(size))
        assert list(map(str, model.thresholds)) == list(map(str, numbers))
        trained = {n: label for n, label in enumerate(labels.split(",")) if not math.isnan(numbers[n])}
        assert {number: label for label, (number, _) in model.trained.items()} == trained


_STATED = """
import sys; from pathlib import Path; from tests.support.xrv_reference import imported
for name, stated in imported(Path(sys.argv[1])).models.model_urls.items():
    lists = (",".join(map(str, stated[key])) for key in ("labels", "op_threshs"))
    print(name, stated["weights_url"], stated["input_resolution"], *lists, sep="|")
"""
