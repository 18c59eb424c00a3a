"""One call from a seed to a film with its truth.

Nothing here imports torch until a film is made, so that what only stores or sends films stays light.
"""

import time
from collections.abc import Iterator, Sequence

from cxr_node.domain.radiograph import View
from cxr_node.phantom.pathology import Pathology
from cxr_node.phantom.truth_types import PhantomFilm


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
