"""The network for anatomy: a U-Net of four levels that also says what kind of picture it looks at.

It draws at half the film's rows and columns: taught by shares of covered area, the border lies where a logit passes 0,
between cells too, and a quarter of the work is done.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What can be varied. Rows and columns of what comes in are multiples of 32."""

    planes: int = 19
    """Structures and lesions."""
    views: int = 4
    channels: tuple[int, int, int, int] = (32, 64, 112, 144)
    near: int = 20
    far: int = 68
    """Pixels on a side of the squares that a pixel is compared with."""


class Outputs(NamedTuple):
    """`planes` (B, planes, 128, 128) logits; `views` (B, 4) logits; `features` (B, 256): means over the film.

    `seen` (B, 160, 32, 32) is what the network knows of each cell, for findings to be learned from.
    """

    planes: Tensor
    views: Tensor
    features: Tensor
    seen: Tensor


class Pair(nn.Module):
    """Two 3 x 3 convolutions, the second beside a shortcut."""

    def __init__(self, inside: int, outside: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) -> (B, outside, H / stride, W / stride)."""
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(y + self.second_norm(self.second(y)))


class Join(nn.Module):
    """What is known coarsely, brought to twice the size and joined with what was seen finely."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1, bias=False)
        self.both = nn.Conv2d(2 * fine, fine, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, H, W), (B, fine, 2 H, 2 W) -> (B, fine, 2 H, 2 W)."""
        wide = functional.interpolate(self.narrow(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.relu(self.norm(self.both(torch.cat((wide, fine), 1))))


class AnatomyNet(nn.Module):
    """A film in; structures, lesions and the view out."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = sizes.channels
        self.near, self.far = sizes.near, sizes.far
        self.unshuffle = nn.PixelUnshuffle(4)
        self.see_quarter = Pair(48, a)
        self.see_eighth = Pair(a, b, stride=2)
        self.see_sixteenth = Pair(b, c, stride=2)
        self.see_whole = Pair(c, d, stride=2)
        self.join_sixteenth = Join(d, c)
        self.join_eighth = Join(c, b)
        self.join_quarter = Join(b, a)
        self.draw = Pair(a, a)
        self.planes = nn.Conv2d(a, 4 * sizes.planes, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.views = nn.Linear(c + d, sizes.views)

    def forward(self, film: Tensor) -> Outputs:
        """Shapes for a film of 256 x 256 and the default sizes."""
        x = torch.cat((whitened(film), contrast(film, self.far), contrast(film, self.near)), 1)  # (B, 3, 256, 256)
        quarter = self.see_quarter(self.unshuffle(x))  # (B, 32, 64, 64)
        eighth = self.see_eighth(quarter)  # (B, 64, 32, 32)
        sixteenth = self.see_sixteenth(eighth)  # (B, 112, 16, 16)
        whole = self.see_whole(sixteenth)  # (B, 144, 8, 8)
        up = self.join_sixteenth(whole, sixteenth)  # (B, 112, 16, 16)
        features = torch.cat((up.mean((2, 3)), whole.mean((2, 3))), 1)  # (B, 256)
        known = self.join_eighth(up, eighth)  # (B, 64, 32, 32)
        strokes = self.draw(self.join_quarter(known, quarter))  # (B, 32, 64, 64)
        planes = self.shuffle(self.planes(strokes))  # (B, 19, 128, 128)
        seen = torch.cat((eighth, known, functional.avg_pool2d(strokes, 2)), 1)  # (B, 160, 32, 32)
        return Outputs(planes, self.views(features), features, seen)


def whitened(film: Tensor) -> Tensor:
    """Return a film with mean 0 and standard deviation 1."""
    centred = film - film.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 0.02)


def contrast(film: Tensor, side: int) -> Tensor:
    """Return by how many standard deviations of its neighbourhood each pixel differs from the neighbourhood's mean."""
    centred = film - _mean_around(film, side)
    return centred / (_mean_around(centred.square(), side).sqrt() + 0.02)


def _mean_around(x: Tensor, side: int) -> Tensor:
    """Return the mean over about a square around each pixel, of what of it lies on the film.

    Taken over cells of 4 x 4 pixels, and smoothly between them: a sixteenth of the work.
    """
    cells, reach = functional.avg_pool2d(x, 4), side // 4 // 2
    across = functional.avg_pool2d(cells, (1, 2 * reach + 1), 1, (0, reach), count_include_pad=False)
    around = functional.avg_pool2d(across, (2 * reach + 1, 1), 1, (reach, 0), count_include_pad=False)
    return functional.interpolate(around, scale_factor=4.0, mode="bilinear", align_corners=False)
