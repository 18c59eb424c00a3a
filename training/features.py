"""Features for findings: the anatomy network's cell features of the whole film and of its thorax alone."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32
from training.anatomynet import AnatomyNet, Outputs
from training.metrics import Floats
from training.phantoms import STRUCTURES
from training.thorax import CONTEXT, PARTS, Parts, anatomy_context, gray_outside, thorax_mask

Indices = npt.NDArray[np.intp]
"""Indices of films."""

BATCH_SIZE = 8
"""Films in a batch."""


class Heads(nn.Module):
    """One linear head per finding and part, on the features and the anatomical context of a cell."""

    def __init__(self, findings: int, channels: int) -> None:
        super().__init__()
        self.parts = Parts()
        self.sums = nn.Conv2d(channels + CONTEXT, findings * PARTS, 1, bias=False)

    def forward(self, planes: Tensor, thorax: Outputs) -> Tensor:
        """Return the contribution of each cell to the logits, (B, findings, 32, 32).

        Parameters
        ----------
        planes
            Logits of structures and lesions on the whole film, (B, planes, 128, 128).
        thorax
            Outputs of the network for the thorax alone.
        """
        cells, parts = torch.cat((cell_features(thorax), anatomy_context(planes)), 1), self.parts(planes)
        sums = self.sums(cells).view(cells.shape[0], -1, PARTS, *cells.shape[2:])  # (B, findings, 8, 32, 32)
        added: Tensor = (sums * parts[:, None]).sum(2)
        return added


def two_passes(network: AnatomyNet, film: Tensor) -> tuple[Outputs, Outputs]:
    """Return the network's outputs for films (B, 1, 256, 256), and for their thorax alone."""
    whole: Outputs = network(film)
    thorax: Outputs = network(gray_outside(film, thorax_mask(whole.planes)))
    return whole, thorax


def cell_features(outputs: Outputs) -> Tensor:
    """Return the features of each cell from one pass, (B, 164, 32, 32)."""
    lesions = functional.avg_pool2d(outputs.planes[:, len(STRUCTURES) :], 4)
    return torch.cat((outputs.cells, lesions), 1)


class FilmPass(IntEnum):
    """Input of a forward pass: the whole film or its thorax alone."""

    WHOLE = 0
    THORAX = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of films for findings and for their baselines.

    Shapes: parts (passes, films, 8, 164), mean cell features over each part; context (films, 8, 20), mean anatomical
    context over each part; gram (films, 20, 20) and moment (passes, films, 20, 164), the normal equations of regressing
    features on context; rest (films, 164), features of the film without its thorax; thumbnails (passes, films, 576).
    """

    parts: Floats
    context: Floats
    gram: Floats
    moment: Floats
    rest: Floats
    thumbnails: Floats

    def explained(self, film_pass: FilmPass, films: Indices) -> Floats:
        """Return the ridge regression of cell features on anatomical context over `films`, (20, 164)."""
        ridge = 1e-3 * np.eye(CONTEXT)
        solved: Floats = np.linalg.solve(self.gram[films].sum(0) + ridge, self.moment[film_pass, films].sum(0))
        return solved


def extract_features(network: AnatomyNet, films: Float32) -> Features:
    """Return the features of films (films, 256, 256)."""
    batches = list(_batches(network, films))
    across = {"parts": 1, "moment": 1, "thumbnails": 1}
    names = (field.name for field in fields(Features))
    return Features(**{name: np.concatenate([batch[name] for batch in batches], across.get(name, 0)) for name in names})


def _batches(network: AnatomyNet, films: Float32) -> Iterator[dict[str, Floats]]:
    """Yield the features of each batch of films."""
    where = Parts()
    with torch.inference_mode():
        for start in tqdm(range(0, len(films), BATCH_SIZE), desc="features", unit="batch"):
            film = torch.from_numpy(films[start : start + BATCH_SIZE])[:, None]
            whole, thorax = two_passes(network, film)
            area = thorax_mask(whole.planes)
            both = torch.stack((cell_features(whole), cell_features(thorax)))  # (2, B, 164, 32, 32)
            context, parts = anatomy_context(whole.planes), where(whole.planes)
            weighted = context * parts.sum(1, keepdim=True)
            small = torch.stack([functional.adaptive_avg_pool2d(one, 24) for one in (film, gray_outside(film, area))])
            batch = {
                "parts": torch.einsum("lbchw,bphw->lbpc", both, parts),
                "context": torch.einsum("bkhw,bphw->bpk", context, parts),
                "gram": torch.einsum("bkhw,bjhw->bkj", weighted, context),
                "moment": torch.einsum("bkhw,lbchw->lbkc", weighted, both),
                "rest": cell_features(network(gray_outside(film, 1 - area))).mean((2, 3)),
                "thumbnails": small.flatten(2),
            }
            yield {name: value.double().numpy() for name, value in batch.items()}
