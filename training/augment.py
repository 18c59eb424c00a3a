"""The same chest, filmed otherwise: position, exposure, sharpness and noise vary; what is seen does not."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROTATION = math.radians(8)
SCALE = 0.12
STRETCH = 0.08
SHIFT = 0.08
GAMMA = 0.35
SHARPNESS = 0.8
NOISE = 0.02
HOLE = 0.25
HORIZON = (0.6, 0.9)
"""Between these shares of the height a film may be cut off: what lies below the lungs must not decide."""


def augment(films: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return each film varied on its own, shape (B, 1, side, side), 0.0 to 1.0 as it came.

    Half are mirrored: the heart's side is no clue to an opacity, and 700 films cannot afford to teach it twice.
    """
    moved = _move(films, generator)
    exposed = moved.clamp(0, 1) ** torch.exp(_uniform(len(films), generator, GAMMA))[:, None, None, None]
    sharper = _sharpen(exposed, generator)
    noisy = sharper + torch.randn(films.shape, generator=generator) * NOISE * _unit(len(films), generator)
    return _cover(noisy, generator).clamp(0, 1)


def _move(films: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale, stretch, shift and mirror."""
    count = len(films)
    angle = _uniform(count, generator, ROTATION)
    scale = torch.exp(_uniform(count, generator, SCALE))
    stretch = torch.exp(_uniform(count, generator, STRETCH))
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across = torch.stack((mirror * scale * stretch * cosine, -sine * scale, _uniform(count, generator, SHIFT)), 1)
    down = torch.stack((mirror * sine * scale, scale / stretch * cosine, _uniform(count, generator, SHIFT)), 1)
    grid = functional.affine_grid(torch.stack((across, down), 1), list(films.shape), align_corners=False)
    return functional.grid_sample(films, grid, padding_mode="border", align_corners=False)


def _sharpen(films: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpen or blur: machines do one or the other, and must not be told apart by it."""
    blurred = functional.avg_pool2d(films, 3, 1, 1, count_include_pad=False)
    return films + _uniform(len(films), generator, SHARPNESS)[:, None, None, None] * (films - blurred)


def _cover(films: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of every other film, and what is below a line, with its mean gray: no single place decides."""
    side = films.shape[-1]
    covered = films.clone()
    lowest, highest = HORIZON
    for film in covered:
        height, width, top, left, chance, horizon, cut = torch.rand(7, generator=generator).tolist()
        if chance < 0.5:
            rows, columns = int(height * HOLE * side), int(width * HOLE * side)
            first_row, first_column = int(top * (side - rows)), int(left * (side - columns))
            film[:, first_row : first_row + rows, first_column : first_column + columns] = film.mean()
        if cut < 0.5:
            film[:, int((lowest + horizon * (highest - lowest)) * side) :] = film.mean()
    return covered


def _uniform(count: int, generator: torch.Generator, reach: float) -> Tensor:
    """Return `count` numbers between -reach and reach."""
    return (torch.rand(count, generator=generator) * 2 - 1) * reach


def _unit(count: int, generator: torch.Generator) -> Tensor:
    """Return `count` numbers between 0 and 1, to multiply films with."""
    return torch.rand(count, generator=generator)[:, None, None, None]
