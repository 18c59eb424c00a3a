"""PSPNet with a dilated ResNet-101 (H. Zhao et al., *Pyramid Scene Parsing Network*, 2017) for segmentation.

Modules have the names of the published weight file, so that its tensors load; the auxiliary branch of training is left
out. Every block of the file has its ReLU after the sum, and the first convolution is three of 3 x 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Channels of the first convolutions, blocks per stage, and cells of each level of the pyramid."""

    first: int = 64
    stages: tuple[int, ...] = (3, 4, 23, 3)
    dilations: tuple[int, ...] = (1, 1, 2, 4)
    pyramid: tuple[int, ...] = (6, 3, 2, 1)


class _Unit(nn.Module):
    """Convolution and normalisation."""

    UNIT = "cb_unit"
    """Name of the sequence in the weight file."""

    def __init__(self, channels: int, filters: int, size: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (size // 2)
        layers = [
            nn.Conv2d(channels, filters, size, stride=stride, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(filters),
        ]
        self.add_module(self.UNIT, nn.Sequential(*layers))

    def forward(self, before: Tensor) -> Tensor:
        """(B, channels, r, c) -> (B, filters, r / stride, c / stride)."""
        after: Tensor = self.get_submodule(self.UNIT)(before)
        return after


class _ActiveUnit(_Unit):
    """Convolution, normalisation and ReLU."""

    UNIT = "cbr_unit"

    def forward(self, before: Tensor) -> Tensor:
        """(B, channels, r, c) -> (B, filters, r / stride, c / stride), not negative."""
        return functional.relu(super().forward(before))


class Bottleneck(nn.Module):
    """(B, channels, r, c) -> (B, channels out, r / stride, c / stride); `cb4` only where the shape changes."""

    def __init__(self, channels: int, inner: int, out: int, *, stride: int, dilation: int, first: bool) -> None:
        super().__init__()
        self.cbr1 = _ActiveUnit(channels, inner, 1)
        self.cbr2 = _ActiveUnit(inner, inner, 3, stride=stride, dilation=dilation)
        self.cb3 = _Unit(inner, out, 1)
        self.cb4 = _Unit(channels, out, 1, stride=stride) if first else None

    def forward(self, before: Tensor) -> Tensor:
        """Return `before` plus the residual."""
        residual = self.cb3(self.cbr2(self.cbr1(before)))
        return functional.relu(residual + (before if self.cb4 is None else self.cb4(before)))


class _Stage(nn.Module):
    """Blocks of one stage."""

    def __init__(self, channels: int, inner: int, blocks: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        out = 4 * inner
        self.layers = nn.Sequential(
            *(
                Bottleneck(
                    out if number else channels,
                    inner,
                    out,
                    stride=1 if number else stride,
                    dilation=dilation,
                    first=not number,
                )
                for number in range(blocks)
            )
        )

    def forward(self, before: Tensor) -> Tensor:
        after: Tensor = self.layers(before)
        return after


class _PyramidPooling(nn.Module):
    """(B, channels, r, c) -> (B, 2 * channels, r, c): the input, and its means over grids of cells."""

    def __init__(self, channels: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = levels
        self.path_module_list = nn.ModuleList(_ActiveUnit(channels, channels // len(levels), 1) for _ in levels)

    def forward(self, before: Tensor) -> Tensor:
        rows, columns = before.shape[2:]
        parts = [before]
        for level, unit in zip(self.levels, self.path_module_list, strict=True):
            cell = (rows // level, columns // level)
            means = unit(functional.avg_pool2d(before, cell, stride=cell))
            parts.append(functional.interpolate(means, size=(rows, columns), mode="bilinear"))
        return torch.cat(parts, dim=1)


class PspNet(nn.Module):
    """Logits of each structure for each pixel; sizes of the published network by default."""

    def __init__(self, structures: int, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        first = sizes.first
        self.convbnrelu1_1 = _ActiveUnit(3, first, 3, stride=2)
        self.convbnrelu1_2 = _ActiveUnit(first, first, 3)
        self.convbnrelu1_3 = _ActiveUnit(first, 2 * first, 3)
        channels = 2 * first
        for number, (blocks, dilation) in enumerate(zip(sizes.stages, sizes.dilations, strict=True)):
            inner, stride = first << number, 2 if number == 1 else 1
            stage = _Stage(channels, inner, blocks, stride=stride, dilation=dilation)
            self.add_module(f"res_block{number + 2}", stage)
            channels = 4 * inner
        self.stages = len(sizes.stages)
        self.pyramid_pooling = _PyramidPooling(channels, sizes.pyramid)
        self.cbr_final = _ActiveUnit(2 * channels, 8 * first, 3)
        self.classification = nn.Conv2d(8 * first, structures, 1)

    def forward(self, film: Tensor) -> Tensor:
        """(B, 3, rows, columns) -> logits (B, structures, rows, columns)."""
        features = self.convbnrelu1_3(self.convbnrelu1_2(self.convbnrelu1_1(film)))  # (B, 128, r / 2, c / 2)
        features = functional.max_pool2d(features, 3, 2, 1)  # (B, 128, r / 4, c / 4)
        for number in range(self.stages):
            features = self.get_submodule(f"res_block{number + 2}")(features)  # (B, 2048, r / 8, c / 8) at last
        logits = self.classification(self.cbr_final(self.pyramid_pooling(features)))  # (B, structures, r / 8, c / 8)
        return functional.interpolate(logits, size=(film.shape[2], film.shape[3]), mode="bilinear")
