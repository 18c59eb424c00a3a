"""Films varied with what is drawn on them: the chest moves and bends, machine and gray scale change."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROTATION = math.radians(9)
SCALE = 0.2
STRETCH = 0.14
SHIFT = 0.12
BEND = 0.035
"""Elastic displacement, as a share of half the film's side; fields of 5 x 5 and 9 x 9 knots."""
GAMMA = 0.55
HAZE = 0.25
NOISE = 0.05
EQUALISED = 0.15


def vary(films: Tensor, bits: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return films (B, 1, side, side), 0.0 to 1.0, and their bits (B, side, side), each pair varied on its own.

    Beyond the film's border the film goes on black or with its last gray, by chance, and nothing is drawn there.
    """
    grid = _grid(len(films), films.shape[-1], generator)
    beyond = "border" if torch.rand(1, generator=generator) < 0.5 else "zeros"
    moved = functional.grid_sample(films, grid, padding_mode=beyond, align_corners=False)
    return expose(moved, generator=generator), _picked(bits, grid)


def expose(films: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return films with another exposure, gray scale, sharpness, noise, and things in the way."""
    count = len(films)
    films = films.clamp(0, 1) ** torch.exp(_uniform(count, generator, GAMMA))
    chosen = _unit(count, generator).flatten() < EQUALISED
    films[chosen] = _equalised(films[chosen])
    films = _sharpen(films, generator)
    haze = functional.interpolate(torch.randn(count, 1, 4, 4, generator=generator), films.shape[-2:], mode="bicubic")
    films = films * (1 + haze * HAZE * _unit(count, generator)) + 0.5 * haze * HAZE * _unit(count, generator)
    grain = torch.randn(films.shape, generator=generator)
    coarse = functional.avg_pool2d(grain, 3, 1, 1) * 2
    films = films + torch.where(_unit(count, generator) < 0.5, grain, coarse) * NOISE * _unit(count, generator) ** 2
    low, high = _unit(count, generator) * 0.3, 1 - _unit(count, generator) * 0.3
    films = torch.where(_unit(count, generator) < 0.5, films * (high - low) + low, films)
    return _cover(films, generator).clamp(0, 1)


def _grid(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return where each pixel comes from, (B, side, side, 2), in -1 to 1 across and down."""
    angle = _uniform(count, generator, ROTATION).flatten()
    scale = torch.exp(_uniform(count, generator, SCALE)).flatten()
    stretch = torch.exp(_uniform(count, generator, STRETCH)).flatten()
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across = torch.stack((scale * stretch * cosine, -scale * sine, _uniform(count, generator, SHIFT).flatten()), 1)
    down = torch.stack((scale * sine, scale / stretch * cosine, _uniform(count, generator, SHIFT).flatten()), 1)
    grid = functional.affine_grid(torch.stack((across, down), 1), [count, 1, side, side], align_corners=False)
    for knots, share in ((5, 1.0), (9, 0.4)):
        field = torch.randn(count, 2, knots, knots, generator=generator) * BEND * share * _unit(count, generator)
        grid = grid + functional.interpolate(field, (side, side), mode="bicubic").permute(0, 2, 3, 1)
    return grid


def _picked(bits: Tensor, grid: Tensor) -> Tensor:
    """Return the bits at the nearest pixel; none beyond the border."""
    count, side = len(bits), bits.shape[-1]
    column = ((grid[..., 0] + 1) * side / 2).floor().long()
    row = ((grid[..., 1] + 1) * side / 2).floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    at = (row.clamp(0, side - 1) * side + column.clamp(0, side - 1)).view(count, -1)
    return torch.where(inside, bits.view(count, -1).gather(1, at).view(count, side, side), 0)


def _equalised(films: Tensor) -> Tensor:
    """Return films in which every gray is as frequent as any other."""
    flat = films.flatten(1)
    ranks = flat.argsort(1).argsort(1).float() / flat.shape[1]
    return ranks.view_as(films)


def _sharpen(films: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpen or blur, finely and coarsely."""
    for side, reach in ((3, 1.0), (15, 0.5)):
        blurred = functional.avg_pool2d(films, side, 1, side // 2, count_include_pad=False)
        films = films + _uniform(len(films), generator, reach) * (films - blurred)
    return films


def _cover(films: Tensor, generator: torch.Generator) -> Tensor:
    """Put a shutter around some films, and plates of one gray (labels, electrodes) on some."""
    side = films.shape[-1]
    covered = films.clone()
    for film in covered:
        chances = torch.rand(4, generator=generator).tolist()
        if chances[0] < 0.25:
            edges = (torch.rand(4, generator=generator) * 0.08 * side).int().tolist()
            shade = 0.0 if chances[1] < 0.7 else 1.0
            film[:, : edges[0]], film[:, side - edges[1] :] = shade, shade
            film[:, :, : edges[2]], film[:, :, side - edges[3] :] = shade, shade
        if chances[2] < 0.4:
            for _ in range(int(chances[3] * 4) + 1):
                height, width, top, left, shade = torch.rand(5, generator=generator).tolist()
                rows, columns = int(2 + height**2 * 30), int(2 + width**2 * 40)
                row, column = int(top * (side - rows)), int(left * (side - columns))
                film[:, row : row + rows, column : column + columns] = shade
    return covered


def _uniform(count: int, generator: torch.Generator, reach: float) -> Tensor:
    """Return a number between -reach and reach for each film, (B, 1, 1, 1)."""
    return (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * reach


def _unit(count: int, generator: torch.Generator) -> Tensor:
    """Return a number between 0 and 1 for each film, (B, 1, 1, 1)."""
    return torch.rand(count, 1, 1, 1, generator=generator)
