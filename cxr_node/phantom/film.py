"""One call from a seed to a film with its truth.

Nothing here imports torch until a film is made, so that what only stores or sends films stays light.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32, UInt16, View
from cxr_node.phantom.pathology import Pathology
from cxr_node.phantom.thorax import Anatomy

Mask = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]
Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A pathology as it lies on the film: `mask` names its mask, `box` is left, top, right, bottom in pixels."""

    pathology: Pathology
    mask: str
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of a film because it was made. Coordinates are (column, row) as in `Geometry`."""

    seed: int
    view: View
    anatomy: Anatomy
    imager_pixel_spacing_mm: float
    """At the detector, both ways (0018,1164)."""
    distance_source_to_detector_mm: float
    magnification: float
    """Of the middle of the chest (0018,1114)."""
    cardiothoracic_ratio: float | None
    """Greatest heart width over greatest inner width of the rib cage on the film; None on a lateral."""
    heart_line: Line | None
    thorax_line: Line | None
    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhantomFilm:
    """A film and its truth: `p_values` (rows, columns), 0 black to 65535 white; a mask for every structure seen.

    `attenuation` (rows, columns) is what the rays met on their way at 60 keV, 0 in the open field: the natural
    logarithm, negated, of the share that arrives, before scatter, noise and any processing.
    """

    p_values: UInt16
    attenuation: Float32
    masks: Mapping[str, Mask]
    truth: Truth


def film(
    *,
    seed: int,
    view: View = View.PA,
    rows: int = 512,
    columns: int = 512,
    pathology: Sequence[Pathology] = (),
    erect: bool | None = None,
) -> PhantomFilm:
    """Return the film of `seed`: the same arguments give the same bytes.

    Parameters
    ----------
    view
        PA, AP or LATERAL (left side at the detector).
    erect
        Whether the patient stands; by default PA and lateral do, and AP films as the seed decides.
    """
    return next(films([seed], views=[view], rows=rows, columns=columns, pathologies=[pathology], erect=erect))


def films(
    seeds: Sequence[int],
    *,
    views: Sequence[View] | None = None,
    rows: int = 512,
    columns: int = 512,
    pathologies: Sequence[Sequence[Pathology]] | None = None,
    erect: bool | None = None,
    device: str = "cpu",
    batch: int = 1,
) -> Iterator[PhantomFilm]:
    """Yield the film of each seed, `batch` at a time on `device`; a GPU wants 8 or more.

    On a CPU films are made one by one, so the bytes depend on nothing but the arguments.
    """
    from cxr_node.phantom.render import render

    chosen = list(views) if views is not None else [View.PA] * len(seeds)
    wrong = list(pathologies) if pathologies is not None else [()] * len(seeds)
    together = 1 if device == "cpu" else batch
    for start in range(0, len(seeds), together):
        part = slice(start, start + together)
        yield from render(
            seeds[part], chosen[part], wrong[part], rows=rows, columns=columns, erect=erect, device=device
        )


def time_films(seeds: Sequence[int], size: int, device: str, batch: int) -> float:
    """Make the films of `seeds`, `size` pixels wide and high, on one thread, and return the CPU seconds they took."""
    before = time.process_time()
    for _ in films(seeds, rows=size, columns=size, device=device, batch=batch):
        pass
    return time.process_time() - before


def freeze(masks: dict[str, Mask]) -> Mapping[str, Mask]:
    """Return `masks` as a mapping that cannot be changed."""
    return MappingProxyType(masks)
