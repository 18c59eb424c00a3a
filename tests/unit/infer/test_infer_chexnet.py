"""CheXNet's weight files: names, order of labels, refusals."""

import re
from pathlib import Path

import pytest
import torch

from cxr_node.infer import chexnet, chexnet_import
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.report import codes


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("module.densenet121.features.conv0.weight", "features.conv0.weight"),
        ("module.features.denseblock1.denselayer2.norm.1.bias", "features.denseblock1.denselayer2.norm1.bias"),
        ("features.denseblock4.denselayer16.conv.2.weight", "features.denseblock4.denselayer16.conv2.weight"),
        ("module.densenet121.classifier.0.weight", "classifier.weight"),
        ("model.classifier.bias", "classifier.bias"),
        ("densenet121.features.transition1.norm.weight", "features.transition1.norm.weight"),
        ("features.norm5.running_mean", "features.norm5.running_mean"),
    ],
)
def test_published_names_become_those_of_torchvision_today(name: str, plain: str) -> None:
    assert list(chexnet.plain_names({name: torch.zeros(1)})) == [plain]


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(chexnet.RenameError, match="two tensors are named features"):
        chexnet.plain_names({"module.features.conv0.weight": torch.zeros(1), "features.conv0.weight": torch.zeros(1)})


def test_every_label_has_a_code() -> None:
    coded = {label: (code, site) for label, (code, site, _) in codes.FINDINGS.items()}

    assert chexnet_import.labels_without_code(coded) == ()
    assert len(chexnet.LABELS) == 14


@pytest.mark.slow
def test_a_network_of_one_channel_is_refused_naming_the_tensor() -> None:
    state = {f"module.{name}": tensor for name, tensor in DenseNet(14).state_dict().items()}

    with pytest.raises(BundleError, match=re.escape("features.conv0.weight has shape (64, 1, 7, 7)")):
        chexnet.load(state)


@pytest.mark.slow
def test_the_mean_of_a_map_is_the_logit() -> None:
    torch.manual_seed(1)
    network = chexnet.CheXNet(DenseNet(14, channels=3).eval(), [1, 13]).eval()

    with torch.inference_mode():
        outputs = network(torch.rand(1, 1, 224, 224))

    assert outputs["finding_logits"].shape == (1, 2)
    assert torch.allclose(outputs["finding_maps"].mean((2, 3)), outputs["finding_logits"], atol=1e-5)


def test_a_file_that_is_no_weight_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(b"hello")

    with pytest.raises(BundleError, match="was refused"):
        chexnet_import.write(file, tmp_path / "to", name="x", url="", codes={}, digest="0" * 64)  # type: ignore[arg-type]  # not reached
    assert not (tmp_path / "to").exists()
