"""Public architectures with random weights: from an ONNX file to a program within 1e-4 of their own run time.

The whole list runs with `make test-long`; `docs/models/import-onnx.md` has its results.
"""

import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.infer import archive
from cxr_node.infer.onnx import convert, file, run_time
from cxr_node.infer.prepare import Frame
from cxr_node.infer.steps import RECIPE, Steps
from tests.support.architectures import PUBLIC, SHORT, Architecture
from tests.support.films import ROOT

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")
PACKAGES = ROOT / ".venv" / "reference"
TOLERANCE = 1e-4
_FIRST = "squeezenet1_1"
_REST = pytest.mark.long

_log = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def reference(name: str, architecture: Architecture, folder: Path) -> tuple[bytes, torch.Tensor, torch.Tensor]:
    """Return an architecture's file, films, and its own outputs."""
    if not all((PACKAGES / package).is_dir() for package in {"torchvision", architecture.package}):
        pytest.skip(f"{architecture.package} is not installed beside the tests (make test does so)")
    command = [sys.executable, "-m", "tests.support.onnx_reference", str(PACKAGES), str(folder), name]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    with np.load(folder / f"{name}.npz") as arrays:
        films, outputs = torch.from_numpy(arrays["films"]), torch.from_numpy(arrays["outputs"])
    return (folder / f"{name}.onnx").read_bytes(), films, outputs


def difference(name: str, architecture: Architecture, folder: Path) -> float:
    """Return the largest difference of a score of the converted network from the architecture's own."""
    content, films, expected = reference(name, architecture, folder)
    graph = file.parse(content)
    outputs = convert.Outputs(scores="output", meaning="logits", places=tuple(range(expected.shape[1])))
    shape = tuple(films.shape[1:])
    network = convert.native(graph, outputs, is_channels_last=False, film_shape=shape)
    assert run_time.difference(content, network, "output", shape) <= TOLERANCE
    frame = Frame(rows=shape[1], columns=shape[2], recipe=RECIPE, steps=Steps(channels=3))
    program = archive.open_network(convert.convert(network, frame))
    with torch.inference_mode():
        scores = program(films)["finding_logits"].sigmoid()
        alone = torch.cat([program(film[None])["finding_logits"].sigmoid() for film in films])
    own = expected.sigmoid()
    assert float(own.std()) > 0.05, "scores that vanish show nothing"
    largest = max(float((scores - own).abs().max()), float((alone - own).abs().max()))
    _log.info("%s: %s operators, %.1g", name, len(graph.nodes), largest)
    return largest


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=_REST if name != _FIRST else ()) for name in SHORT])
def test_small_architecture_scores_as_in_its_own_run_time(name: str, tmp_path: Path) -> None:
    assert difference(name, SHORT[name], tmp_path) <= TOLERANCE


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PUBLIC)
def test_architecture_scores_as_in_its_own_run_time(name: str, tmp_path: Path) -> None:
    assert difference(name, PUBLIC[name], tmp_path) <= TOLERANCE


def test_table_has_the_families_that_sites_bring() -> None:
    families = ("densenet", "resnet", "efficientnet", "mobilenet", "convnext", "vit_", "swin", "regnet", "inception")

    assert len(PUBLIC) >= 20
    assert [family for family in families if not any(family in name for name in PUBLIC)] == []
