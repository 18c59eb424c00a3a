"""Imported weights of CheXNet give the scores of torchvision's network and transformations.

No published weight file is at hand: `tests.support.chexnet_reference` writes files in their formats.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer import bundle, chexnet, weights
from cxr_node.infer.reader import Reader
from tests.support import films

PACKAGES = Path(sys.prefix) / "reference"
pytest.importorskip("safetensors", reason="needs the extra safetensors")
pytestmark = [
    pytest.mark.ci(short="tests/unit/infer/test_infer_chexnet.py::test_the_mean_of_a_map_is_the_logit"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (PACKAGES / "torchvision").is_dir(), reason="no torchvision; `make test` puts it there"),
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chexnet")
    random = np.random.default_rng(6)
    images = [np.kron(random.integers(0, 256, (6, 6)), np.ones(size)).astype(np.uint8) for size in ((60, 50), (70, 80))]
    ramps = [np.tile(np.linspace(0, 255, 400), (300, 1)).astype(np.uint8), (255 - images[0][::-1]).astype(np.uint8)]
    np.savez(folder / "films.npz", *images, *ramps)
    subprocess.run(
        [sys.executable, "-m", "tests.support.chexnet_reference", PACKAGES, folder], cwd=films.ROOT, check=True
    )
    return folder


def radiographs(folder: Path) -> list[Radiograph]:
    return [
        Radiograph(
            p_values=stored.astype(np.uint16) * np.uint16(257),
            geometry=Geometry(rows=stored.shape[0], columns=stored.shape[1]),
            grayscale="as stored",
        )
        for stored in np.load(folder / "films.npz").values()
    ]


def test_old_and_new_names_give_the_same_tensors(reference: Path) -> None:
    old = chexnet.plain_names(weights.read(reference / "old.pth.tar"))
    new = chexnet.plain_names(weights.read(reference / "new.safetensors"))

    assert old.keys() == new.keys()
    assert all((old[name] == new[name]).all() for name in old)


def test_an_imported_bundle_gives_the_scores_of_torchvision(reference: Path, tmp_path: Path) -> None:
    folder = tmp_path / "imported"
    options = ["--weights", str(reference / "old.pth.tar"), "--to", str(folder)]

    ended = subprocess.run(
        [sys.executable, "-m", "cxr_node", "bundle", "import-chexnet", *options],
        cwd=films.ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    opened = bundle.load(folder)
    assert [label.key for label in opened.card.labels] == [label.lower() for label in chexnet.LABELS]
    predictions = Reader(opened, device="cpu").read(radiographs(reference))
    scores = np.array([[finding.score for finding in predicted.findings] for predicted in predictions])
    theirs = np.load(reference / "scores.npy")
    assert theirs.std(axis=0).min() > 0.01
    assert np.abs(scores - theirs).max() < 1e-3
    assert {str(finding.presence) for predicted in predictions for finding in predicted.findings} == {"undetermined"}
