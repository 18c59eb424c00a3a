"""Parts of the thorax over which findings are pooled, anatomical context, and films with the rest grayed out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.phantoms import STRUCTURES

LUNGS = slice(STRUCTURES.index("right_lung"), STRUCTURES.index("left_lung") + 1)
DOMES = slice(STRUCTURES.index("right_hemidiaphragm"), STRUCTURES.index("left_hemidiaphragm") + 1)
HEART = STRUCTURES.index("heart")

PARTS = 8
"""Upper, middle and lower zone of the right lung, the same of the left, the bases, and the thorax."""
MIDDLE = 3.0
"""Half height of a lung's middle zone, in cells of 8 pixels."""
CONTEXT = 5 + len(STRUCTURES)

GRAY = 0.45
"""Gray value of the area outside."""


class Parts(nn.Module):
    """Pooling weights of the eight parts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Tensor
        self.register_buffer("rows", torch.arange(32.0), persistent=False)

    def forward(self, planes: Tensor) -> Tensor:
        """Logits (B, planes, 128, 128) -> shares that sum to 1 over the film, (B, 8, 32, 32)."""
        scores = functional.avg_pool2d(torch.sigmoid(planes), 4)  # (B, planes, 32, 32)
        both = scores[:, LUNGS]  # (B, 2, 32, 32)
        middle = (both.sum(3) * self.rows).sum(2, keepdim=True) / (both.sum((2, 3)) + 1e-6)[:, :, None]  # (B, 2, 1)
        below = (self.rows - middle)[..., None]  # (B, 2, 32, 1)
        upper, lower = torch.sigmoid(-2 * (below + MIDDLE)), torch.sigmoid(2 * (below - MIDDLE))
        shares = torch.stack((upper, 1 - upper - lower, lower), 2)  # (B, 2, 3, 32, 1)
        zones = (both[:, :, None] * shares).flatten(1, 2)  # (B, 6, 32, 32)
        lungs = both.amax(1, keepdim=True)  # (B, 1, 32, 32)
        domes = scores[:, DOMES].amax(1, keepdim=True)
        base = functional.max_pool2d(lungs, 7, 1, 3) * functional.max_pool2d(domes, 7, 1, 3)
        thorax = functional.max_pool2d(close_rows(lungs, reach=10), 3, 1, 1)
        parts = torch.cat((zones, base, thorax), 1) + 1e-4
        return parts / parts.sum((2, 3), keepdim=True)


def anatomy_context(planes: Tensor) -> Tensor:
    """Return the anatomy at and around each cell; the first number is 1.

    Logits (B, planes, 128, 128) -> (B, 20, 32, 32).
    """
    scores = functional.avg_pool2d(torch.sigmoid(planes[:, : len(STRUCTURES)]), 4)  # (B, 15, 32, 32)
    lungs = scores[:, LUNGS].amax(1, keepdim=True)
    domes = scores[:, DOMES].amax(1, keepdim=True)
    near = torch.cat((lungs, scores[:, HEART : HEART + 1], domes), 1)
    parts = (
        0 * lungs + 1,
        scores,
        functional.max_pool2d(lungs, 3, 1, 1),
        functional.avg_pool2d(near, 5, 1, 2),
    )
    return torch.cat(parts, 1)


def thorax_mask(planes: Tensor) -> Tensor:
    """Return a soft mask of the lungs and the area between: (B, planes, 128, 128) -> (B, 1, 256, 256), 0.0 to 1.0."""
    scores = functional.avg_pool2d(torch.sigmoid(planes[:, LUNGS]), 2)  # (B, 2, 64, 64)
    around = functional.max_pool2d(close_rows(scores.amax(1, keepdim=True), reach=20), 9, 1, 4)
    sharp = torch.sigmoid(20 * (around - 0.5))
    wide = functional.interpolate(sharp, scale_factor=4.0, mode="nearest")  # (B, 1, 256, 256)
    return functional.avg_pool2d(wide, 9, 1, 4)


def close_rows(x: Tensor, *, reach: int) -> Tensor:
    """Return (B, 1, H, W) after closing gaps within rows, up to twice `reach` wide."""
    side = 2 * reach + 1
    grown = functional.max_pool2d(functional.pad(x, (reach, reach)), (1, side), 1, (0, reach))  # (B, 1, H, W + 2 reach)
    return -functional.max_pool2d(-grown, (1, side), 1)


def gray_outside(film: Tensor, where: Tensor) -> Tensor:
    """Return the film with gray outside `where`; both are (B, 1, 256, 256)."""
    return film * where + GRAY * (1 - where)
