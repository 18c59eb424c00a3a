"""ResNet-50 for one channel (K. He et al., *Deep Residual Learning for Image Recognition*, 2016, table 1).

A block halves the size in its 3 x 3 convolution, as the published weights were trained, and not in its first as in the
paper. Modules have the names of the published weight files, so that their tensors load.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Channels of the first convolution, which double at each stage, and blocks per stage."""

    first: int = 64
    stages: tuple[int, ...] = (3, 4, 6, 3)
    widening: int = 4
    """Output channels of a block, as a multiple of its inner channels."""


class Bottleneck(nn.Module):
    """(B, channels, r, c) -> (B, inner * widening, r / stride, c / stride)."""

    def __init__(self, channels: int, inner: int, stride: int, widening: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, inner * widening, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner * widening)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != inner * widening:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, inner * widening, 1, stride=stride, bias=False), nn.BatchNorm2d(inner * widening)
            )

    def forward(self, before: Tensor) -> Tensor:
        """Return `before` plus the residual."""
        residual = functional.relu(self.bn1(self.conv1(before)))
        residual = functional.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return functional.relu(residual + self.downsample(before))


class ResNet(nn.Module):
    """Features, their mean over the film, and one linear output per label."""

    def __init__(self, labels: int, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.conv1 = nn.Conv2d(1, sizes.first, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes.first)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = sizes.first
        for number, blocks in enumerate(sizes.stages):
            inner = sizes.first << number
            stage = nn.Sequential()
            for place in range(blocks):
                stride = 2 if number and not place else 1
                stage.append(Bottleneck(channels, inner, stride, sizes.widening))
                channels = inner * sizes.widening
            self.add_module(f"layer{number + 1}", stage)
        self.stages = len(sizes.stages)
        self.fc = nn.Linear(channels, labels)

    @property
    def head(self) -> nn.Linear:
        """Layer from mean features to logits, and from features to maps."""
        return self.fc

    def grid(self, film: Tensor) -> Tensor:
        """(B, 1, 512, 512) -> features (B, 2048, 16, 16), not negative."""
        features = self.maxpool(functional.relu(self.bn1(self.conv1(film))))  # (B, 64, 128, 128)
        for number in range(self.stages):
            features = self.get_submodule(f"layer{number + 1}")(features)
        return features  # type: ignore[no-any-return]  # a module's call is untyped
