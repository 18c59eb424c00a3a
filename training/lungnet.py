"""The network for findings: a small residual network that sees the lungs alone; its last map is the explanation."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.phantoms import STRUCTURES

TOP, LEFT, ROWS, COLUMNS = 16, 8, 224, 240
"""What of a film of 256 x 256 is seen: the lungs lie within it, and it is 14 x 15 cells of 16 pixels."""

LUNGS = slice(STRUCTURES.index("right_lung"), STRUCTURES.index("left_lung") + 1)
DOMES = slice(STRUCTURES.index("right_hemidiaphragm"), STRUCTURES.index("left_hemidiaphragm") + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What can be varied."""

    findings: int = 2
    patch: int = 4
    neighbourhood: int = 25
    """Pixels on a side of the square that a pixel is compared with."""
    channels: tuple[int, int, int, int] = (20, 40, 80, 112)
    dropout: float = 0.3
    auxiliary: int = 12
    """Further things to predict while training, dropped at export: they teach what a chest looks like."""


class Outputs(NamedTuple):
    """`logits` (B, findings) are the sums of `maps` (B, findings, 14, 15); `auxiliary` (B, auxiliary)."""

    logits: Tensor
    maps: Tensor
    auxiliary: Tensor


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, inside: int, outside: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)
        self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) -> (B, outside, H / stride, W / stride)."""
        y = torch.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return torch.relu(y + self.shortcut(x))


class LungNet(nn.Module):
    """A film and where its lungs are in; the findings' logits and where on the film they come from out."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = sizes.channels
        self.neighbourhood = sizes.neighbourhood
        self.unshuffle = nn.PixelUnshuffle(sizes.patch)
        self.stem = nn.Conv2d(sizes.patch**2, a, 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(a)
        self.fine = Block(a, a, stride=1)
        self.middle = Block(a, b, stride=2)
        self.coarse = Block(b, c, stride=2)
        self.wide = Block(c, d, stride=1)
        self.dropout: nn.Module = nn.Dropout2d(sizes.dropout)
        self.finding = nn.Conv2d(d, sizes.findings, 1)
        self.auxiliary: nn.Module = nn.Linear(d, sizes.auxiliary)

    def forward(self, film: Tensor, lungs: Tensor) -> Outputs:
        """Shapes for the default sizes; film and lungs are (B, 1, 256, 256), lungs 0.0 to 1.0."""
        x = window(local_contrast(film, self.neighbourhood) * lungs)  # (B, 1, 224, 240)
        share = functional.avg_pool2d(window(lungs), 16) + 1e-4  # (B, 1, 14, 15)
        share = share / share.sum((2, 3), keepdim=True)
        x = self.unshuffle(x)  # (B, 16, 56, 60)
        x = torch.relu(self.stem_norm(self.stem(x)))  # (B, 20, 56, 60)
        x = self.middle(self.fine(x))  # (B, 40, 28, 30)
        x = self.dropout(self.wide(self.coarse(x)))  # (B, 112, 14, 15)
        maps = self.finding(x) * share  # (B, 2, 14, 15)
        return Outputs(maps.sum((2, 3)), maps, self.auxiliary((x * share).sum((2, 3))))


def lung_fields(planes: Tensor) -> Tensor:
    """Return the lungs with their rims and with what lies at their bases, (B, 1, 256, 256), 0.0 to 1.0.

    Fluid takes the base of a lung away from its field, and must not take it out of sight. What is farther from the
    lungs is not seen: shoulders, belly and labels differ from ward to ward.

    Parameters
    ----------
    planes
        Logits of the structures, (B, planes, 128, 128).
    """
    scores = functional.avg_pool2d(torch.sigmoid(planes), 4)  # (B, planes, 32, 32)
    lungs = scores[:, LUNGS].amax(1, keepdim=True)
    domes = scores[:, DOMES].amax(1, keepdim=True)
    rims = functional.max_pool2d(lungs, 3, 1, 1)
    bases = functional.max_pool2d(lungs, 7, 1, 3) * functional.max_pool2d(domes, 5, 1, 2)
    return functional.interpolate(
        rims + torch.relu(bases - rims), scale_factor=8.0, mode="bilinear", align_corners=False
    )


def window(films: Tensor) -> Tensor:
    """Return what is seen of films of 256 x 256."""
    return films[:, :, TOP : TOP + ROWS, LEFT : LEFT + COLUMNS]


def local_contrast(film: Tensor, neighbourhood: int) -> Tensor:
    """Return by how many standard deviations of its neighbourhood each pixel differs from the neighbourhood's mean.

    How bright and how steep the film is, and how it was windowed, is taken away: these tell one machine or ward from
    another, not an opacity from a clear lung.
    """
    centred = film - _mean_around(film, neighbourhood)
    return centred / (_mean_around(centred.square(), neighbourhood).sqrt() + 0.02)


def _mean_around(x: Tensor, size: int) -> Tensor:
    """Return the mean over a square around each pixel; beyond the border there is nothing."""
    across = functional.avg_pool2d(x, (1, size), 1, (0, size // 2), count_include_pad=False)
    return functional.avg_pool2d(across, (size, 1), 1, (size // 2, 0), count_include_pad=False)
