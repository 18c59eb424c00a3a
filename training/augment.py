"""Data augmentation of films and their masks: affine and elastic transforms, intensity, noise, occlusion."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROTATION = math.radians(9)
SCALE = 0.2
STRETCH = 0.14
SHIFT = 0.12
BEND = 0.035
"""Elastic displacement, as a share of half the film's side, on fields of 5 x 5 and 9 x 9 knots."""
GAMMA = 0.55
HAZE = 0.25
NOISE = 0.05
EQUALISED = 0.15


def augment(films: Tensor, masks: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augment films (B, 1, side, side), 0.0 to 1.0, and their bit masks (B, side, side), each pair independently.

    Beyond the border the film is padded with black or with its edge, at random, and the masks with 0.
    """
    grid = _grid(len(films), films.shape[-1], generator)
    padding = "border" if torch.rand(1, generator=generator) < 0.5 else "zeros"
    warped = functional.grid_sample(films, grid, padding_mode=padding, align_corners=False)
    return augment_intensity(warped, generator=generator), _resample_masks(masks, grid)


def augment_intensity(films: Tensor, *, generator: torch.Generator) -> Tensor:
    """Vary exposure, gray scale, sharpness and noise, and occlude parts."""
    count = len(films)
    films = films.clamp(0, 1) ** torch.exp(_uniform(count, generator, GAMMA))
    chosen = _unit(count, generator).flatten() < EQUALISED
    films[chosen] = _equalize(films[chosen])
    films = _random_sharpness(films, generator)
    haze = functional.interpolate(torch.randn(count, 1, 4, 4, generator=generator), films.shape[-2:], mode="bicubic")
    films = films * (1 + haze * HAZE * _unit(count, generator)) + 0.5 * haze * HAZE * _unit(count, generator)
    grain = torch.randn(films.shape, generator=generator)
    coarse = functional.avg_pool2d(grain, 3, 1, 1) * 2
    films = films + torch.where(_unit(count, generator) < 0.5, grain, coarse) * NOISE * _unit(count, generator) ** 2
    low, high = _unit(count, generator) * 0.3, 1 - _unit(count, generator) * 0.3
    films = torch.where(_unit(count, generator) < 0.5, films * (high - low) + low, films)
    return _random_occlusion(films, generator).clamp(0, 1)


def _grid(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return the sampling grid, (B, side, side, 2), in -1 to 1 across and down."""
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


def _resample_masks(masks: Tensor, grid: Tensor) -> Tensor:
    """Return the masks at the nearest pixel; 0 beyond the border."""
    count, side = len(masks), masks.shape[-1]
    column = ((grid[..., 0] + 1) * side / 2).floor().long()
    row = ((grid[..., 1] + 1) * side / 2).floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    at = (row.clamp(0, side - 1) * side + column.clamp(0, side - 1)).view(count, -1)
    return torch.where(inside, masks.view(count, -1).gather(1, at).view(count, side, side), 0)


def _equalize(films: Tensor) -> Tensor:
    """Return films after histogram equalization."""
    flat = films.flatten(1)
    ranks = flat.argsort(1).argsort(1).float() / flat.shape[1]
    return ranks.view_as(films)


def _random_sharpness(films: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpen or blur at a fine and a coarse scale."""
    for side, reach in ((3, 1.0), (15, 0.5)):
        blurred = functional.avg_pool2d(films, side, 1, side // 2, count_include_pad=False)
        films = films + _uniform(len(films), generator, reach) * (films - blurred)
    return films


def _random_occlusion(films: Tensor, generator: torch.Generator) -> Tensor:
    """Add a shutter around some films, and uniform rectangles (labels, electrodes) to some."""
    side = films.shape[-1]
    occluded = films.clone()
    for film in occluded:
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
    return occluded


def _uniform(count: int, generator: torch.Generator, limit: float) -> Tensor:
    """Return a random number from -limit to limit per film, (B, 1, 1, 1)."""
    return (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * limit


def _unit(count: int, generator: torch.Generator) -> Tensor:
    """Return a random number from 0 to 1 per film, (B, 1, 1, 1)."""
    return torch.rand(count, 1, 1, 1, generator=generator)
