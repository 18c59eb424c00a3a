"""Synthesizes out-of-distribution pictures from chest films: crops, rotations, negatives, limbs, noise."""

import torch
from torch import Tensor
from torch.nn import functional


def synthesize(films: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return one out-of-distribution picture per film, (B, 1, side, side), 0.0 to 1.0."""
    return torch.stack([_synthesize_one(film, generator) for film in films])


def _synthesize_one(film: Tensor, generator: torch.Generator) -> Tensor:
    kind = int(torch.randint(0, 8, (1,), generator=generator))
    match kind:
        case 0:
            return torch.rot90(film, int(torch.randint(1, 4, (1,), generator=generator)), (1, 2))
        case 1:
            return film.flip(1)
        case 2:
            return 1 - film
        case 3:
            return _magnified_crop(film, generator)
        case 4:
            return _shuffled_tiles(film, generator)
        case 5 | 6:
            return _limbs(film, generator)
    return _smooth_noise(film, generator)


def _magnified_crop(film: Tensor, generator: torch.Generator) -> Tensor:
    """Return a fifth to a third of the film, resized to the whole."""
    side = film.shape[-1]
    size = int(side * (0.2 + 0.13 * float(torch.rand(1, generator=generator))))
    top, left = (int(torch.randint(0, side - size, (1,), generator=generator)) for _ in range(2))
    part = film[None, :, top : top + size, left : left + size]
    return functional.interpolate(part, (side, side), mode="bilinear")[0]


def _shuffled_tiles(film: Tensor, generator: torch.Generator) -> Tensor:
    """Return the film with its 4 x 4 tiles in random order."""
    side = film.shape[-1] // 4
    pieces = film.view(4, side, 4, side).permute(0, 2, 1, 3).reshape(16, side, side)
    pieces = pieces[torch.randperm(16, generator=generator)]
    return pieces.view(4, 4, side, side).permute(0, 2, 1, 3).reshape(1, 4 * side, 4 * side)


def _limbs(film: Tensor, generator: torch.Generator) -> Tensor:
    """Return one to three shafts of bone in soft tissue on a dark background, at any angle."""
    side = film.shape[-1]
    across = torch.linspace(-1, 1, side)
    picture = torch.zeros(side, side)
    for _ in range(int(torch.randint(1, 4, (1,), generator=generator))):
        angle, shift, flesh, bone, curve = torch.rand(5, generator=generator).tolist()
        direction = torch.tensor(angle * torch.pi)
        along = across[None, :] * direction.cos() + across[:, None] * direction.sin()
        beside = across[:, None] * direction.cos() - across[None, :] * direction.sin()
        beside = (beside + (shift - 0.5) + (curve - 0.5) * along.square()).abs()
        thick = (0.1 + 0.35 * flesh) * (1 + 0.3 * (curve - 0.5) * along)
        shaft = thick * (0.25 + 0.3 * bone)
        body = (1 - (beside / thick).square()).clamp(min=0).sqrt() * 0.5
        rim = (1 - (beside / shaft).square()).clamp(min=0).sqrt() - 0.8 * (1 - (beside / (0.7 * shaft)).square()).clamp(
            min=0
        ).sqrt()
        picture = picture + body + 0.5 * rim.clamp(min=0)
    return (picture + 0.05 * torch.randn(picture.shape, generator=generator)).clamp(0, 1)[None]


def _smooth_noise(film: Tensor, generator: torch.Generator) -> Tensor:
    """Return smooth noise of several scales."""
    side = film.shape[-1]
    total = torch.zeros(1, 1, side, side)
    for knots in (2, 4, 8, 16, 32, 64):
        weight = float(torch.rand(1, generator=generator))
        field = torch.randn(1, 1, knots, knots, generator=generator) * weight
        total = total + functional.interpolate(field, (side, side), mode="bicubic")
    return (0.5 + 0.25 * total[0]).clamp(0, 1)
