"""Entry point: a film with its truth from a seed.

Torch is imported only when a film is generated, so that modules that only store or send films do not load it.
"""

import time
from collections.abc import Iterator, Sequence

from cxr_node.domain.film_geometry import View
from cxr_node.phantom.pathology import Pathology
from cxr_node.phantom.thorax import Pose
from cxr_node.phantom.truth_types import PhantomFilm


def film(
    *,
    seed: int,
    view: View = View.PA,
    rows: int = 512,
    columns: int = 512,
    pathology: Sequence[Pathology] = (),
    erect: bool | None = None,
    pose: Pose | None = None,
) -> PhantomFilm:
    """Return the film of `seed`: the same arguments give the same bytes.

    Parameters
    ----------
    view
        PA, AP or LATERAL (left side at the detector).
    erect
        Whether the patient stands; by default on PA and lateral films, and on AP films by the seed.
    pose
        Breath and rotation; by default by the seed.
    """
    return next(
        films([seed], views=[view], rows=rows, columns=columns, pathologies=[pathology], erect=erect, pose=pose)
    )


def films(
    seeds: Sequence[int],
    *,
    views: Sequence[View] | None = None,
    rows: int = 512,
    columns: int = 512,
    pathologies: Sequence[Sequence[Pathology]] | None = None,
    erect: bool | None = None,
    pose: Pose | None = None,
    device: str = "cpu",
    batch: int = 1,
) -> Iterator[PhantomFilm]:
    """Yield the film of each seed, `batch` at a time on `device`; 8 or more on a GPU.

    On a CPU films are generated one by one, so the bytes depend on the arguments only.
    """
    from cxr_node.phantom.render import render

    chosen = list(views) if views is not None else [View.PA] * len(seeds)
    per_film = list(pathologies) if pathologies is not None else [()] * len(seeds)
    together = 1 if device == "cpu" else batch
    for start in range(0, len(seeds), together):
        part = slice(start, start + together)
        yield from render(
            seeds[part], chosen[part], per_film[part], rows=rows, columns=columns, erect=erect, pose=pose, device=device
        )


def measure_rate(seeds: Sequence[int], size: int, device: str, batch: int) -> float:
    """Generate films of `size` x `size` pixels on one thread and return the CPU seconds."""
    before = time.process_time()
    for _ in films(seeds, rows=size, columns=size, device=device, batch=batch):
        pass
    return time.process_time() - before
