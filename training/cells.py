"""Features of cells of the thorax, and the heads that read findings from them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.mobilenet import CHANNELS_LAST, CHANNELS_MIDDLE, MobileNetV2
from training.thorax import CELLS, Thorax

CHANNELS = CHANNELS_LAST + 2 * CHANNELS_MIDDLE
"""Features of a cell: the last feature map, and mean and maximum of the middle one over the cell."""

ANATOMY_CHANNELS = 160
"""Features of a cell from the anatomy network."""

SHARPNESS = 2.0
"""Of the mean over lungs: near 0 it is the mean of the cells' logits, far above 1 their maximum."""

REGIONS = 3
"""Regions over which the other findings average: lungs, thorax, and the lower third beside the midline."""


class CellFeatures(nn.Module):
    """Backbone with weights learned on ImageNet, unchanged."""

    def __init__(self, backbone: MobileNetV2) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 1, 352, 352) -> (B, 1472, 11, 11)."""
        middle, last = self.backbone(picture)
        return torch.cat((last, functional.avg_pool2d(middle, 2), functional.max_pool2d(middle, 2)), 1)


class Regions(nn.Module):
    """Weights of the regions, which sum to 1 over the cells of a film."""

    def __init__(self) -> None:
        super().__init__()
        rows, columns = torch.arange(CELLS), torch.arange(CELLS)
        low = (rows >= CELLS * 2 // 3).float()[:, None]
        beside = (columns - CELLS // 2).abs().clamp(min=1).float()[None]
        self.fixed: Tensor
        self.register_buffer("fixed", torch.stack((torch.ones(CELLS, CELLS), low * beside)), persistent=False)

    def forward(self, lungs: Tensor) -> Tensor:
        """(B, 11, 11) -> (B, 3, 11, 11)."""
        fixed = self.fixed + torch.zeros_like(lungs)[:, None]
        weights = torch.cat((lungs[:, None], fixed), 1) + 1e-6
        return weights / weights.sum((2, 3), keepdim=True)


def soft_maximum(logits: Tensor, lungs: Tensor) -> Tensor:
    """Return the soft maximum of the logits of cells over the lungs, (B, 11, 11), (B, 11, 11) -> (B,)."""
    weights = (lungs + 1e-6) / (lungs + 1e-6).sum((1, 2), keepdim=True)
    return torch.logsumexp(SHARPNESS * logits + weights.log(), (1, 2)) / SHARPNESS


class OpacityHead(nn.Module):
    """Logit of an opacity in each cell, from the cell and its difference from the mirrored cell."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Conv2d(CHANNELS, 1, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))
        self.other = nn.Conv2d(CHANNELS, 1, 1, bias=False)
        self.exchange: Tensor
        self.register_buffer("exchange", torch.eye(CELLS).flip(1), persistent=False)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, 1472, 11, 11) -> (B, 11, 11)."""
        logits: Tensor = self.own(cells) - torch.matmul(self.other(cells), self.exchange) + self.bias
        return logits[:, 0]


class RegionHeads(nn.Module):
    """Logits of findings as sums over cells: the map of contributions is the explanation.

    Cells of the thorax are averaged over the regions; cells of the anatomy network over the lower half of the film.
    """

    def __init__(self, findings: int, *, anatomy_channels: int = ANATOMY_CHANNELS) -> None:
        super().__init__()
        self.findings = findings
        self.sums = nn.Conv2d(CHANNELS, findings * REGIONS, 1, bias=False)
        self.anatomy = nn.Conv2d(anatomy_channels, findings, 1, bias=False)
        self.regions = Regions()
        self.bias = nn.Parameter(torch.zeros(findings))

    def forward(self, cells: Tensor, anatomy_cells: Tensor, thorax: Thorax) -> tuple[Tensor, Tensor]:
        """Return logits (B, findings) and a map of contributions for each, (B, findings, 64, 64).

        Parameters
        ----------
        cells, anatomy_cells
            Features of cells of the thorax, (B, 1472, 11, 11), and of the film, (B, 160, 32, 32).
        """
        sums = self.sums(cells).view(-1, self.findings, REGIONS, CELLS, CELLS)
        contributions = (sums * self.regions(thorax.lungs)[:, None]).sum(2)  # (B, findings, 11, 11)
        lower = lower_half(self.anatomy(anatomy_cells))  # (B, findings, 16, 32)
        share = lower / (lower.shape[2] * lower.shape[3])
        logits = contributions.sum((2, 3)) + share.sum((2, 3)) + self.bias
        below = functional.interpolate(functional.pad(lower, (0, 0, lower.shape[2], 0)), scale_factor=2.0)
        return logits, on_film(contributions * CELLS * CELLS, thorax) + below


def lower_half(maps: Tensor) -> Tensor:
    """Return the lower half of maps (B, C, 32, 32)."""
    return maps[:, :, maps.shape[2] // 2 :]


def on_film(values: Tensor, thorax: Thorax) -> Tensor:
    """Return maps of cells (B, C, 11, 11) on the whole film, (B, C, 64, 64); zero outside the thorax."""
    return torch.matmul(torch.matmul(thorax.rows[:, None], values), thorax.columns[:, None].transpose(2, 3))
