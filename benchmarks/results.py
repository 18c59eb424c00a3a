"""Processor time of composing a study's results: each kind of one film of 15 MB, without the model.

    python -m benchmarks.results [--rounds 25]

The film is synthetic: 3000 rows of 2500 columns, 16 bits allocated, uncompressed. Its reading has three findings, three
regions, and all measurements and outlines of a phantom: 62 numbers, 42 statements, 15 structures. Times are those of
the process with all its threads: median of the rounds, and the range of 95 %. The picture's time includes decoding the
film. Every result is checked and encoded as for delivery.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Observation, Point, Region, Structure
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.measure.film import measure_film
from cxr_node.phantom.film import film as phantom
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.report.kinds import (
    basic_text,
    encapsulated_pdf,
    key_objects,
    presentation_state,
    secondary_capture,
    segmentation,
    tid1500,
)
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, ReportedFilm
from tests.support import films, phantom_outlines
from tests.unit.report.studies import NODE, NOW, everything

FULL_SET: tuple[ResultKind, ...] = (
    tid1500.REPORT,
    secondary_capture.PICTURE,
    presentation_state.PRESENTATION_STATE,
    segmentation.SEGMENTATION,
)
DEFAULT_SET: tuple[ResultKind, ...] = (tid1500.REPORT, basic_text.TEXT, secondary_capture.PICTURE)
OTHERS: tuple[ResultKind, ...] = (
    basic_text.TEXT,
    tid1500.REPORT_MEASUREMENTS,
    key_objects.KEY_IMAGES,
    encapsulated_pdf.ENCAPSULATED_PDF,
)
_ROWS, _COLUMNS = 3000, 2500
_SEED = 21


def load_film(film: ReportedFilm) -> ReducedFilm:
    """Return a film's pixels, reduced."""
    return reduce_film(radiograph(film.header, limits=Limits()))


def compose_ms(kind: ResultKind, film: ReportedFilm) -> float:
    """Return the processor time in milliseconds of composing one kind."""
    request = ComposeRequest(films=[film], load_film=load_film, observer=NODE, now=NOW)
    start = time.process_time()
    kind.compose(request)
    return (time.process_time() - start) * 1000


def full_film() -> ReportedFilm:
    """Return a film of 15 MB with all that the node reports."""
    film = everything(films.dx(rows=_ROWS, columns=_COLUMNS))
    if film.reading.prediction is None:
        raise ValueError("a film that was not read")
    synthetic = phantom(seed=_SEED, view=View.PA)
    picture, structures = phantom_outlines.radiograph(synthetic), phantom_outlines.structures(synthetic)
    record = measure_film(picture, structures)
    rows, columns = picture.p_values.shape

    def scaled(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x * _COLUMNS / columns, y * _ROWS / rows) for x, y in points)

    def regions(outlined: Structure | Observation) -> tuple[Region, ...]:
        return tuple(Region(outline=scaled(region.outline)) for region in outlined.regions)

    prediction = replace(
        film.reading.prediction, structures=tuple(replace(one, regions=regions(one)) for one in structures)
    )
    reading = replace(
        film.reading,
        prediction=prediction,
        measurements=tuple(replace(one, line=scaled(one.line)) for one in record.measurements),
        observations=tuple(replace(one, line=scaled(one.line), regions=regions(one)) for one in record.observations),
    )
    return replace(film, reading=reading)


def line(name: str, times_ms: Sequence[float]) -> str:
    """Return the median of times and the range of 95 % of them."""
    ordered = sorted(times_ms)
    edge = len(ordered) // 40
    return f"{name:24} {statistics.median(ordered):6.0f} ms ({ordered[edge]:.0f} to {ordered[-1 - edge]:.0f})"


def main() -> None:
    """Measure and print a line for each kind, and the full set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    film = full_film()
    kinds = (*FULL_SET, *OTHERS)
    for kind in kinds:
        compose_ms(kind, film)  # warm up: modules are loaded, tables made
    times = {kind.name: [compose_ms(kind, film) for _ in range(rounds)] for kind in kinds}
    for name, times_ms in times.items():
        print(line(name, times_ms))
    for kinds in (DEFAULT_SET, FULL_SET):
        rounds_ms = zip(*(times[kind.name] for kind in kinds), strict=True)
        print(line(" + ".join(kind.name for kind in kinds), [sum(round_ms) for round_ms in rounds_ms]))


if __name__ == "__main__":
    main()
