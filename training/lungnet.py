"""The network: a small residual network whose last map is the explanation."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What can be varied. The film's side is a multiple of `patch` x 4."""

    side: int = 256
    patch: int = 4
    channels: tuple[int, int, int, int] = (24, 48, 96, 192)
    dropout: float = 0.3
    auxiliary: int = 12
    """Further things to predict while training, dropped at export: they teach what a chest looks like."""


class Outputs(NamedTuple):
    """`logits` (B, 1) is the mean of `maps` (B, 1, 16, 16) over the film; `auxiliary` (B, auxiliary)."""

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
        """Shapes for a side of 256 and a patch of 4."""
        x = standardise(film)  # (B, 1, 256, 256)
        x = self.unshuffle(x)  # (B, 16, 64, 64)
        x = torch.relu(self.stem_norm(self.stem(x)))  # (B, 24, 64, 64)
        x = self.fine(x)  # (B, 24, 64, 64)
        x = self.middle(x)  # (B, 48, 32, 32)
        x = self.coarse(x)  # (B, 96, 16, 16)
        x = self.dropout(self.wide(x))  # (B, 192, 16, 16)
        maps = self.finding(x)  # (B, 1, 16, 16)
        return Outputs(maps.mean((2, 3)), maps, self.auxiliary(x.mean((2, 3))))


def standardise(film: Tensor) -> Tensor:
    """Take each film's own brightness and contrast away; a film of one gray becomes 0."""
    centred = film - film.mean((1, 2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-3)
