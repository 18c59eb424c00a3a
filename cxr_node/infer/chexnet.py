"""CheXNet: DenseNet-121 for the 14 labels of ChestX-ray14, with torchvision's names (P. Rajpurkar et al., 2017).

Several re-implementations published weights. Their files differ in the names of the tensors only: torchvision's before
and after version 0.2.2, below the modules that wrapped the network in training.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cxr_node.infer.import_bundle import load_state
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.infer.steps import Steps

LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""Labels of the outputs, in the order of the published files."""

SIZE = 224
STEPS = Steps(fit="center-crop", shorter_side=256, kernel="bilinear", antialias=True, is_8_bit=True)
"""The shorter side to 256 pixels of 8 bits, and the central square of 224: a film once, not ten crops."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, red, green and blue."""

_WRAPPERS = ("module.", "model.", "densenet121.")
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_HEAD = re.compile(r"^classifier\.0\.")


class RenameError(ValueError):
    """Two tensors of a file have the same name without wrappers."""


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by torchvision's names of today.

    No wrappers, `norm1` for `norm.1`, `classifier` for `classifier.0`.

    Raises
    ------
    RenameError
        If two tensors get the same name.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = _HEAD.sub("classifier.", _OLD_NAME.sub(r"\1\2.", _unwrapped(name)))
        if plain in renamed:
            raise RenameError(f"two tensors are named {plain}")
        renamed[plain] = tensor
    return renamed


def _unwrapped(name: str) -> str:
    for _ in _WRAPPERS:
        for wrapper in _WRAPPERS:
            name = name.removeprefix(wrapper)
    return name


class CheXNet(nn.Module):
    """The network with ImageNet's normalisation before it, and maps whose mean is the logit."""

    def __init__(self, network: DenseNet, outputs: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        chosen = list(outputs)
        self.logits = nn.Linear(network.head.in_features, len(chosen))
        with torch.no_grad():
            self.logits.weight.copy_(network.head.weight[chosen])
            self.logits.bias.copy_(network.head.bias[chosen])
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 224, 224), 0 to 1 -> finding_logits (B, labels), finding_maps (B, labels, 7, 7)."""
        colors = (film - self.get_buffer("mean")) / self.get_buffer("deviation")  # (B, 3, 224, 224)
        grid = self.network.grid(colors)  # (B, 1024, 7, 7)
        return {
            "finding_logits": self.logits(grid.mean(dim=(2, 3))),
            "finding_maps": nn.functional.conv2d(grid, self.logits.weight[:, :, None, None], self.logits.bias),
        }


def load(tensors: Mapping[str, Tensor]) -> DenseNet:
    """Return the network with the tensors of a weight file.

    Raises
    ------
    RenameError, BundleError
        If they are not CheXNet's.
    """
    network = DenseNet(len(LABELS), channels=len(MEAN))
    load_state(network, plain_names(tensors), "CheXNet (DenseNet-121, 14 labels)")
    return network
