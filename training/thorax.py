"""Cuts the thorax out of a film, and replaces gray values by their rank: no exposure or window changes the result.

Resampling is written as products with matrices of triangular weights, so that the exported graph needs plain
operators alone.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.phantoms import STRUCTURES

LUNGS = slice(STRUCTURES.index("right_lung"), STRUCTURES.index("left_lung") + 1)

FILM = 512
"""Rows and columns of a film."""
SIDE = 352
"""Rows and columns of the thorax that is cut out: a cell of the backbone's last feature map is 32 of them."""
CELLS = SIDE // 32
MAP = 64
"""Rows and columns of a map of the whole film."""

_PLANES = 128
_STRAY = 0.005
"""Share of the lungs' area beyond each side of their box: pixels far from the lungs do not move the box."""
_MARGIN = 0.06
_MARGIN_BELOW = 0.10
"""Margins around the box, in shares of its height and width; below, the recesses behind the domes belong to it."""
_RANKS = 32


class Thorax(NamedTuple):
    """The thorax of films.

    `picture` (B, 1, 352, 352): rank of each gray value among those of the thorax, 0.0 to 1.0. `lungs` (B, 11, 11):
    share of each cell that lungs cover. `rows`, `columns` (B, 64, 11): weights of the cells at each row and column of
    a map of the film; zero outside the thorax.
    """

    picture: Tensor
    lungs: Tensor
    rows: Tensor
    columns: Tensor


class _Span(NamedTuple):
    """First and last edge of the thorax along one axis, (B, 1), in cells of the planes."""

    low: Tensor
    high: Tensor


class ThoraxCrop(nn.Module):
    """From films and logits of structures to `Thorax`."""

    def __init__(self) -> None:
        super().__init__()
        self.below: Tensor
        self.film_pixels: Tensor
        self.plane_pixels: Tensor
        self.samples: Tensor
        self.cells: Tensor
        self.map_cells: Tensor
        self.register_buffer("below", torch.ones(_PLANES, _PLANES).triu(), persistent=False)
        self.register_buffer("film_pixels", torch.arange(FILM) + 0.5, persistent=False)
        self.register_buffer("plane_pixels", torch.arange(_PLANES) + 0.5, persistent=False)
        self.register_buffer("samples", (torch.arange(SIDE) + 0.5) / SIDE, persistent=False)
        self.register_buffer("cells", torch.arange(CELLS) + 0.5, persistent=False)
        self.register_buffer("map_cells", (torch.arange(MAP) + 0.5) / MAP * _PLANES, persistent=False)

    def forward(self, film: Tensor, planes: Tensor) -> Thorax:
        """(B, 1, 512, 512), logits (B, planes, 128, 128) -> the thorax."""
        lungs = torch.sigmoid(planes[:, LUNGS]).amax(1)  # (B, 128, 128)
        area = torch.where(torch.gt(lungs, 0.5), lungs, 1e-6)
        down = self._span(area.sum(2), above=_MARGIN, below=_MARGIN_BELOW)
        across = self._span(area.sum(1), above=_MARGIN, below=_MARGIN)
        scale = FILM / _PLANES
        rows, columns = (
            self._weights(_Span(span.low * scale, span.high * scale), self.film_pixels) for span in (down, across)
        )
        picture = torch.bmm(torch.bmm(rows, film[:, 0]), columns.transpose(1, 2))  # (B, 352, 352)
        rows, columns = (self._weights(span, self.plane_pixels) for span in (down, across))
        coverage = torch.bmm(torch.bmm(rows, lungs), columns.transpose(1, 2))
        return Thorax(
            picture=ranks(picture)[:, None],
            lungs=functional.avg_pool2d(coverage[:, None], SIDE // CELLS)[:, 0],
            rows=self._map_weights(down),
            columns=self._map_weights(across),
        )

    def _span(self, profile: Tensor, *, above: float, below: float) -> _Span:
        """Return the edges within which all but a hundredth of a profile (B, 128) lies, with margins."""
        cumulative = torch.matmul(profile, self.below)
        share = cumulative / profile.sum(1, keepdim=True)
        zero, one = torch.zeros_like(share), torch.ones_like(share)
        low = torch.where(torch.gt(share, _STRAY), zero, one).sum(1, keepdim=True)
        high = _PLANES + 1 - torch.where(torch.gt(share, 1 - _STRAY), one, zero).sum(1, keepdim=True)
        length = high - low
        return _Span((low - above * length).clamp(0, _PLANES - 1), (high + below * length).clamp(1, _PLANES))

    def _weights(self, span: _Span, pixels: Tensor) -> Tensor:
        """Return weights (B, 352, pixels) of triangular filters, as wide as a sample or a pixel."""
        length = span.high - span.low  # (B, 1)
        width = (length / SIDE).clamp(min=1.0)
        centers = span.low + self.samples * length  # (B, 352)
        distance = (centers[:, :, None] - pixels) / width[:, :, None]
        weights = torch.relu(1 - torch.relu(distance) - torch.relu(-distance))
        return weights / (weights.sum(2, keepdim=True) + 1e-6)

    def _map_weights(self, span: _Span) -> Tensor:
        """Return weights (B, 64, 11) of linear interpolation between the centers of cells; zero outside the span."""
        position = (self.map_cells - span.low) / (span.high - span.low) * CELLS  # (B, 64)
        zero, one = torch.zeros_like(position), torch.ones_like(position)
        inside = torch.where(torch.gt(position, 0.0), one, zero) * torch.where(torch.gt(position, CELLS), zero, one)
        distance = position.clamp(0.5, CELLS - 0.5)[:, :, None] - self.cells
        return torch.relu(1 - torch.relu(distance) - torch.relu(-distance)) * inside[:, :, None]


def ranks(picture: Tensor) -> Tensor:
    """Return the rank of each gray value among those of its picture, (B, H, W) -> (B, H, W), 0.0 to 1.0.

    Histogram equalization with 32 intervals of equally many pixels; within an interval ranks follow gray linearly.
    """
    every_other = picture[:, ::2, ::2].flatten(1)
    ordered, _ = every_other.sort(1)
    step = ordered.shape[1] // _RANKS
    edges = torch.cat((ordered[:, ::step], ordered[:, -1:]), 1)  # (B, 33)
    total = torch.zeros_like(picture)
    for number in range(_RANKS):
        low = edges[:, number, None, None]
        width = (edges[:, number + 1, None, None] - low).clamp(min=1e-5)
        total = total + ((picture - low) / width).clamp(0.0, 1.0)
    return total / _RANKS
