"""The network: a small residual network that looks at local contrast and whose last map is the explanation."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_node.infer.prepare import Frame

FRAME = Frame(rows=192, columns=240, left=0.03125, top=0.0625, right=0.96875, bottom=0.8125)
"""The lungs and what is beside them, little of the belly: of a 256 x 256 film rows 16 to 208, columns 8 to 248."""

DOME = (0.5, 0.8125, 0.42, 0.74)
"""The rib cage, as half an ellipse on the film: the middle of its foot (across, down), its radii (across, up)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What can be varied. Rows and columns of what comes in are multiples of `patch` x 4."""

    patch: int = 4
    neighbourhood: int = 25
    """Pixels on a side of the square that a pixel is compared with."""
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    dropout: float = 0.3
    auxiliary: int = 12
    """Further things to predict while training, dropped at export: they teach what a chest looks like."""


class Outputs(NamedTuple):
    """`logits` (B, 1) is the mean of `maps` (B, 1, 12, 15) within the dome; `auxiliary` (B, auxiliary).

    Outside the dome maps hold their own lowest value.
    """

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
    """A film in, an opacity's logit and where on the film it comes from out."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = sizes.channels
        self.neighbourhood = sizes.neighbourhood
        self.chest: Tensor
        self.register_buffer("chest", dome(FRAME.rows, FRAME.columns), persistent=False)
        inside = dome(FRAME.rows // (4 * sizes.patch), FRAME.columns // (4 * sizes.patch))
        self.share: Tensor
        self.register_buffer("share", inside / inside.sum(), persistent=False)
        self.unshuffle = nn.PixelUnshuffle(sizes.patch)
        self.stem = nn.Conv2d(sizes.patch**2, a, 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(a)
        self.fine = Block(a, a, stride=1)
        self.middle = Block(a, b, stride=2)
        self.coarse = Block(b, c, stride=2)
        self.wide = Block(c, d, stride=1)
        self.dropout: nn.Module = nn.Dropout2d(sizes.dropout)
        self.finding = nn.Conv2d(d, 1, 1)
        self.auxiliary: nn.Module = nn.Linear(d, sizes.auxiliary)

    def forward(self, film: Tensor) -> Outputs:
        """Shapes for the FRAME and the default sizes."""
        x = local_contrast(film, self.neighbourhood)  # (B, 1, 192, 240)
        x = x * self.chest  # (B, 1, 192, 240)
        x = self.unshuffle(x)  # (B, 16, 48, 60)
        x = torch.relu(self.stem_norm(self.stem(x)))  # (B, 24, 48, 60)
        x = self.fine(x)  # (B, 24, 48, 60)
        x = self.middle(x)  # (B, 48, 24, 30)
        x = self.coarse(x)  # (B, 96, 12, 15)
        x = self.dropout(self.wide(x))  # (B, 128, 12, 15)
        maps = self.finding(x)  # (B, 1, 12, 15)
        logits = (maps * self.share).sum((2, 3))  # (B, 1)
        lowest = maps.amin((2, 3), keepdim=True)  # (B, 1, 1, 1)
        shown = torch.where(self.share > 0, maps, lowest)  # (B, 1, 12, 15)
        return Outputs(logits, shown, self.auxiliary((x * self.share).sum((2, 3))))


def dome(rows: int, columns: int) -> Tensor:
    """Return 1.0 where a cell of the FRAME has its middle in the rib cage, else 0.0, shape (rows, columns).

    Shoulders, arms, neck and labels are bright, sharp and different from ward to ward: out of sight, out of mind.
    """
    middle, foot, half, height = DOME
    down = torch.linspace(FRAME.top, FRAME.bottom, 2 * rows + 1)[1::2]
    across = torch.linspace(FRAME.left, FRAME.right, 2 * columns + 1)[1::2]
    distance = ((across - middle) / half).square()[None, :] + ((down - foot) / height).square()[:, None]
    return (distance <= 1).float()


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
