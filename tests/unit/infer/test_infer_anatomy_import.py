"""The anatomy network of TorchXRayVision: names, outputs, a card without findings, and its computation."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.identifiers import digest_of
from cxr_node.infer import anatomy_import, card, chexnet
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.model_adapter import ModelAdapter
from cxr_node.infer.networks.pspnet import PspNet, Sizes
from tests.support import films
from tests.unit.report.studies import MODEL

SMALL = Sizes(first=4, stages=(1, 2, 1, 1))
PACKAGES = Path(sys.prefix) / "reference"


def small() -> PspNet:
    torch.manual_seed(1)
    return PspNet(len(anatomy_import.TARGETS), SMALL).eval()


@pytest.mark.slow
def test_tensors_load_without_wrapper_and_branch_for_training() -> None:
    theirs = small()
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    state["module.aux_cls.weight"] = torch.zeros(14, 4, 1, 1)

    loaded = anatomy_import.load(state, network=small())

    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())


def test_another_network_is_refused_naming_a_tensor() -> None:
    with pytest.raises(BundleError, match="is missing"):
        anatomy_import.load({"conv1.weight": torch.zeros(1)}, network=small())


@pytest.mark.slow
def test_only_structures_of_the_node_are_outputs() -> None:
    network = small()
    film = torch.rand(1, 1, 96, 96) * 2048 - 1024
    chosen = [number for number, part in enumerate(anatomy_import.TARGETS.values()) if part is not None]
    with torch.inference_mode():
        colors = ((film + 1024) / 2048 - torch.tensor(chexnet.MEAN)[:, None, None]) / torch.tensor(chexnet.DEVIATION)[
            :, None, None
        ]
        whole = network(colors)

        outlines = anatomy_import.AnatomyOutlines(network, chosen).eval()(film)["structure_logits"]

    assert outlines.shape == (1, 10, 96, 96)
    assert torch.allclose(outlines, whole[:, chosen], atol=1e-5)


def test_the_card_has_structures_and_no_labels() -> None:
    read = card.parse(anatomy_import.card(network=digest_of(b"network"), file=digest_of(b"file")).encode())

    assert read.labels == []
    assert read.network.outputs == ["structure_logits"]
    assert read.anatomy[0] is Anatomy.LEFT_CLAVICLE
    assert {Anatomy.HEART, Anatomy.RIGHT_LUNG, Anatomy.TRACHEA, Anatomy.SPINE} <= set(read.anatomy)


def test_a_bundle_without_findings_gives_outlines() -> None:
    read = card.parse(anatomy_import.card(network=digest_of(b"network"), file=digest_of(b"file")).encode())
    adapter = ModelAdapter(card=read, identity=MODEL)
    logits = np.full((len(read.structures), 64, 64), -5.0, np.float32)
    logits[read.anatomy.index(Anatomy.HEART), 20:40, 20:40] = 5.0

    predicted = adapter.decode_outputs(Geometry(rows=512, columns=512), {"structure_logits": logits})

    assert predicted.findings == ()
    assert [part.key for part in predicted.structures if part.regions] == ["heart"]


_COMPARED = """
import sys, torch
from pathlib import Path
from tests.support.xrv_reference import imported
imported(Path(sys.argv[1]))
from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet
from cxr_node.infer import anatomy_import
torch.manual_seed(2)
theirs = pspnet(14).eval()
for module in theirs.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.running_mean.normal_(0, 0.1), module.running_var.uniform_(0.5, 1.5)
ours = anatomy_import.load({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}).eval()
film = torch.rand(1, 3, 96, 128)
with torch.inference_mode():
    expected, computed = theirs(film), ours(film)
print(expected.std().item() > 0.01, (expected - computed).abs().max().item() < 1e-5)
"""


@pytest.mark.slow
@pytest.mark.skipif(not (PACKAGES / "torchxrayvision").is_dir(), reason="no torchxrayvision; `make test` puts it there")
def test_our_network_computes_what_theirs_does() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _COMPARED, PACKAGES], cwd=films.ROOT, capture_output=True, text=True, timeout=300
    )

    assert ended.stdout.split() == ["True", "True"], ended.stderr
