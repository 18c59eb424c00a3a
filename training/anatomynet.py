"""Anatomy network: a U-Net of four levels with a second head for the view.

Its masks have half the film's rows and columns. Trained on covered shares of cells, a border lies where the logit is 0,
between cells too, at a quarter of the cost.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of the network. Rows and columns of the input are multiples of 32."""

    planes: int = 19
    """Structures and lesions."""
    views: int = 4
    channels: tuple[int, int, int, int] = (32, 64, 112, 144)
    near: int = 20
    far: int = 68
    """Sides, in pixels, of the neighborhoods for local contrast."""


class Outputs(NamedTuple):
    """`planes` (B, planes, 128, 128) logits; `views` (B, 4) logits; `features` (B, 256): means over the film.

    `cells` (B, 160, 32, 32): features of each cell, from which findings are trained.
    """

    planes: Tensor
    views: Tensor
    features: Tensor
    cells: Tensor


class ResidualBlock(nn.Module):
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


class UpBlock(nn.Module):
    """Upsample coarse features and concatenate them with finer ones."""

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
    """U-Net from a film to masks of structures and lesions, and the view."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = sizes.channels
        self.near, self.far = sizes.near, sizes.far
        self.unshuffle = nn.PixelUnshuffle(4)
        self.encoder_quarter = ResidualBlock(48, a)
        self.encoder_eighth = ResidualBlock(a, b, stride=2)
        self.encoder_sixteenth = ResidualBlock(b, c, stride=2)
        self.bottleneck = ResidualBlock(c, d, stride=2)
        self.decoder_sixteenth = UpBlock(d, c)
        self.decoder_eighth = UpBlock(c, b)
        self.decoder_quarter = UpBlock(b, a)
        self.refine = ResidualBlock(a, a)
        self.planes = nn.Conv2d(a, 4 * sizes.planes, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.views = nn.Linear(c + d, sizes.views)

    def forward(self, film: Tensor) -> Outputs:
        """Shapes for a film of 256 x 256 and the default sizes."""
        x = torch.cat(
            (standardize(film), local_contrast(film, self.far), local_contrast(film, self.near)), 1
        )  # (B, 3, 256, 256)
        quarter = self.encoder_quarter(self.unshuffle(x))  # (B, 32, 64, 64)
        eighth = self.encoder_eighth(quarter)  # (B, 64, 32, 32)
        sixteenth = self.encoder_sixteenth(eighth)  # (B, 112, 16, 16)
        whole = self.bottleneck(sixteenth)  # (B, 144, 8, 8)
        up = self.decoder_sixteenth(whole, sixteenth)  # (B, 112, 16, 16)
        features = torch.cat((up.mean((2, 3)), whole.mean((2, 3))), 1)  # (B, 256)
        middle = self.decoder_eighth(up, eighth)  # (B, 64, 32, 32)
        fine = self.refine(self.decoder_quarter(middle, quarter))  # (B, 32, 64, 64)
        planes = self.shuffle(self.planes(fine))  # (B, 19, 128, 128)
        cells = torch.cat((eighth, middle, functional.avg_pool2d(fine, 2)), 1)  # (B, 160, 32, 32)
        return Outputs(planes, self.views(features), features, cells)


def standardize(film: Tensor) -> Tensor:
    """Return a film with mean 0 and standard deviation 1."""
    centred = film - film.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 0.02)


def local_contrast(film: Tensor, side: int) -> Tensor:
    """Return each pixel's difference from the mean of its neighborhood, in standard deviations of the neighborhood."""
    centred = film - _local_mean(film, side)
    return centred / (_local_mean(centred.square(), side).sqrt() + 0.02)


def _local_mean(x: Tensor, side: int) -> Tensor:
    """Return the mean over approximately a square around each pixel, restricted to the film.

    Computed over cells of 4 x 4 pixels and interpolated: a sixteenth of the cost.
    """
    cells, reach = functional.avg_pool2d(x, 4), side // 4 // 2
    across = functional.avg_pool2d(cells, (1, 2 * reach + 1), 1, (0, reach), count_include_pad=False)
    around = functional.avg_pool2d(across, (2 * reach + 1, 1), 1, (reach, 0), count_include_pad=False)
    return functional.interpolate(around, scale_factor=4.0, mode="bilinear", align_corners=False)
