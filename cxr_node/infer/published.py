"""Wraps a published classifier as a bundle's network: selected labels, recentered scores, maps."""

import math
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

_MAX_LOGIT = 80.0
"""Logits are clamped here: the sigmoid is 1.8e-35 from 0, and float32 still represents its logarithm."""


class Classifier(Protocol):
    """A network whose logits are linear in the mean of its features."""

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""

    def grid(self, film: Tensor) -> Tensor:
        """(B, 1, rows, columns) -> features (B, channels, r, c)."""


class Recentered(nn.Module):
    """Recenters scores to 0.5 at the operating point, as TorchXRayVision does, and adds maps.

    A score p of the network with the operating point t becomes p / 2t below t and 1 - (1 - p) / 2(1 - t) from t on.
    The bundle's output is the logit of that, computed from log p and log(1 - p), since float32 cannot represent 1 minus
    a number near 1.

    Parameters
    ----------
    outputs
        Indices of the outputs that become labels, in order.
    thresholds
        Their operating points, between 0 and 1.
    """

    def __init__(self, network: Classifier, *, outputs: Sequence[int], thresholds: Sequence[float]) -> None:
        super().__init__()
        self.network = cast("nn.Module", network)
        head = network.head
        chosen = list(outputs)
        self.logits = nn.Linear(head.in_features, len(chosen))
        with torch.no_grad():
            self.logits.weight.copy_(head.weight[chosen])
            self.logits.bias.copy_(head.bias[chosen])
        self.register_buffer("threshold", torch.tensor(thresholds, dtype=torch.float32))
        self.register_buffer("below", torch.tensor([math.log(2 * t) for t in thresholds]))
        self.register_buffer("above", torch.tensor([math.log(2 * (1 - t)) for t in thresholds]))

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, rows, columns) -> finding_logits (B, labels), finding_maps (B, labels, r, c)."""
        grid = cast("Classifier", self.network).grid(film)  # (B, channels, r, c)
        logits = self.logits(grid.mean(dim=(2, 3)))  # (B, labels)
        # The mean of a map is the finding's logit before recentering.
        maps = nn.functional.conv2d(grid, self.logits.weight[:, :, None, None], self.logits.bias)
        return {"finding_logits": self._recenter(logits), "finding_maps": maps}

    def _recenter(self, logits: Tensor) -> Tensor:
        threshold, below, above = (self.get_buffer(name) for name in ("threshold", "below", "above"))
        clamped = logits.clamp(-_MAX_LOGIT, _MAX_LOGIT)
        # log of the new score where it is small; log of 1 minus the score where it is large
        small = torch.sigmoid(clamped).log() - below
        large = torch.sigmoid(-clamped).log() - above
        small_logit = small - (1 - small.clamp(max=-math.log(2)).exp()).log()
        large_logit = (1 - large.clamp(max=-math.log(2)).exp()).log() - large
        return torch.where(torch.sigmoid(logits) - threshold > 0, large_logit, small_logit)
