"""Random fields with detail at all scales, for unmodelled texture. All in torch."""

from collections.abc import Sequence

import torch
import torch.nn.functional
from torch import Tensor


def field(seed: int, rows: int, columns: int, weights: Sequence[float], device: torch.device) -> Tensor:
    """Return a random field (rows, columns), a sum of grids of 4, 8, 16 ... cells across, each weighted."""
    source = torch.Generator(device=device).manual_seed(seed)
    cells = 4
    total = torch.zeros(1, 1, cells, cells, device=device)
    for weight in weights:
        total = torch.nn.functional.interpolate(total, size=(cells, cells), mode="bicubic", align_corners=True)
        total = total + weight * torch.randn(1, 1, cells, cells, generator=source, device=device)
        cells *= 2
    size = (rows, columns)
    return torch.nn.functional.interpolate(total, size=size, mode="bilinear", align_corners=True)[0, 0]
