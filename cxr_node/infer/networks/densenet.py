"""DenseNet-121 (G. Huang et al., *Densely Connected Convolutional Networks*, 2017, table 1).

Modules have the names of the published weight files, so that their tensors load.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Channels of the first convolution, channels that each layer adds, layers per block."""

    first: int = 64
    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    squeeze: int = 4
    """A layer's 1 x 1 convolution has this many times the growth."""


class Layer(nn.Module):
    """(B, channels, r, c) -> (B, channels + growth, r, c): the input, followed by the layer's own channels."""

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        inner = sizes.squeeze * sizes.growth
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, sizes.growth, 3, padding=1, bias=False)

    def forward(self, before: Tensor) -> Tensor:
        """Return `before` followed by the layer's own channels."""
        squeezed = self.conv1(functional.relu(self.norm1(before)))
        return torch.cat([before, self.conv2(functional.relu(self.norm2(squeezed)))], dim=1)


def block(channels: int, layers: int, sizes: Sizes) -> nn.Sequential:
    """(B, channels, r, c) -> (B, channels + layers * growth, r, c)."""
    grown = range(channels, channels + layers * sizes.growth, sizes.growth)
    return nn.Sequential(OrderedDict((f"denselayer{n}", Layer(c, sizes)) for n, c in enumerate(grown, start=1)))


def transition(channels: int) -> nn.Sequential:
    """(B, channels, r, c) -> (B, channels / 2, r / 2, c / 2)."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )


class DenseNet(nn.Module):
    """Features, their mean over the film, and one linear output per label; for one channel, or three equal ones."""

    def __init__(self, labels: int, sizes: Sizes | None = None, *, channels: int = 1) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(channels, sizes.first, 7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(sizes.first),
                relu0=nn.ReLU(),
                pool0=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
        width = sizes.first
        for number, layers in enumerate(sizes.blocks, start=1):
            self.features.add_module(f"denseblock{number}", block(width, layers, sizes))
            width += layers * sizes.growth
            if number < len(sizes.blocks):
                self.features.add_module(f"transition{number}", transition(width))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, labels)

    @property
    def head(self) -> nn.Linear:
        """Layer from mean features to logits, and from features to maps."""
        return self.classifier

    def grid(self, film: Tensor) -> Tensor:
        """(B, channels, 224, 224) -> features (B, 1024, 7, 7), not negative."""
        return functional.relu(self.features(film))
