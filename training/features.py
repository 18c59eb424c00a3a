"""What findings are learned from: what the network for anatomy knows of a film and of its thorax, cell by cell."""

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
from training.thorax import PARTS, SURROUNDINGS, Parts, only, surroundings, thorax_of

Places = npt.NDArray[np.intp]
"""Which of all films."""

TOGETHER = 8
"""Films that are looked at in one batch."""


class Heads(nn.Module):
    """One weighted sum for each finding and part, on what is known of a cell and what surrounds it."""

    def __init__(self, findings: int, channels: int) -> None:
        super().__init__()
        self.parts = Parts()
        self.sums = nn.Conv2d(channels + SURROUNDINGS, findings * PARTS, 1, bias=False)

    def forward(self, planes: Tensor, seen: Outputs) -> Tensor:
        """Return what each cell adds to the logits, (B, findings, 32, 32).

        Parameters
        ----------
        planes
            Where everything is: (B, planes, 128, 128), as drawn on the whole film.
        seen
            What the network says of the thorax alone.
        """
        cells, parts = torch.cat((known(seen), surroundings(planes)), 1), self.parts(planes)
        sums = self.sums(cells).view(cells.shape[0], -1, PARTS, *cells.shape[2:])  # (B, findings, 8, 32, 32)
        added: Tensor = (sums * parts[:, None]).sum(2)
        return added


def looks(network: AnatomyNet, film: Tensor) -> tuple[Outputs, Outputs]:
    """Return what the network says of films (B, 1, 256, 256), and of their thorax alone."""
    whole: Outputs = network(film)
    thorax: Outputs = network(only(film, thorax_of(whole.planes)))
    return whole, thorax


def known(outputs: Outputs) -> Tensor:
    """Return all that one look knows of each cell, (B, 164, 32, 32)."""
    lesions = functional.avg_pool2d(outputs.planes[:, len(STRUCTURES) :], 4)
    return torch.cat((outputs.seen, lesions), 1)


class Look(IntEnum):
    """What of a film is looked at."""

    WHOLE = 0
    THORAX = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What findings are learned from, and what they are held against.

    Shapes: parts (looks, films, 8, 164), means over each part of what is known of the cells; around (films, 8, 20), the
    same of what surrounds them; gram (films, 20, 20) and moment (looks, films, 20, 164), from which follows what
    surroundings explain; rest (films, 164), what is known of the film without its thorax; thumbnails (looks, films,
    576).
    """

    parts: Floats
    around: Floats
    gram: Floats
    moment: Floats
    rest: Floats
    thumbnails: Floats

    def explained(self, look: Look, films: Places) -> Floats:
        """Return what each of the surroundings adds to what is known, on average of `films`, (20, 164)."""
        ridge = 1e-3 * np.eye(SURROUNDINGS)
        solved: Floats = np.linalg.solve(self.gram[films].sum(0) + ridge, self.moment[look, films].sum(0))
        return solved


def seen_of(network: AnatomyNet, films: Float32) -> Seen:
    """Look at films (films, 256, 256) and return what findings are learned from."""
    looked = list(_looked(network, films))
    across = {"parts": 1, "moment": 1, "thumbnails": 1}
    names = (field.name for field in fields(Seen))
    return Seen(**{name: np.concatenate([one[name] for one in looked], across.get(name, 0)) for name in names})


def _looked(network: AnatomyNet, films: Float32) -> Iterator[dict[str, Floats]]:
    """Give what is seen of each batch of films."""
    where = Parts()
    with torch.inference_mode():
        for start in tqdm(range(0, len(films), TOGETHER), desc="looked at", unit="batch"):
            film = torch.from_numpy(films[start : start + TOGETHER])[:, None]
            whole, thorax = looks(network, film)
            area = thorax_of(whole.planes)
            both = torch.stack((known(whole), known(thorax)))  # (2, B, 164, 32, 32)
            around, parts = surroundings(whole.planes), where(whole.planes)
            weighed = around * parts.sum(1, keepdim=True)
            small = torch.stack([functional.adaptive_avg_pool2d(one, 24) for one in (film, only(film, area))])
            seen = {
                "parts": torch.einsum("lbchw,bphw->lbpc", both, parts),
                "around": torch.einsum("bkhw,bphw->bpk", around, parts),
                "gram": torch.einsum("bkhw,bjhw->bkj", weighed, around),
                "moment": torch.einsum("bkhw,lbchw->lbkc", weighed, both),
                "rest": known(network(only(film, 1 - area))).mean((2, 3)),
                "thumbnails": small.flatten(2),
            }
            yield {name: value.double().numpy() for name, value in seen.items()}
