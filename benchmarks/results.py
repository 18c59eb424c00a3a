"""What one core spends on a study's results: the kinds of one film of 15 MB, without the model.

    python -m benchmarks.results [--rounds 25]

The film is made up: 3000 rows of 2500 columns, 16 bits allocated, uncompressed. Its reading has three findings, three
regions, and all that is measured and outlined on a phantom: 62 numbers, 42 statements, 15 structures. Processor time of
the whole process, all threads together: the median of the rounds, and where nineteen of twenty lie. The picture's
includes the decoding of the film. Every result is checked and encoded, as it is before it leaves.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from cxr_node.domain.radiograph import Radiograph, View
from cxr_node.domain.reading import Measurement, Observation, Point, Region, Structure
from cxr_node.measure.film import measured
from cxr_node.phantom.film import film as phantom
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.report.kinds.kind import (
    ComposeRequest,
    KeyImages,
    Picture,
    PresentationState,
    Report,
    ResultKind,
    Segmentation,
    Text,
)
from cxr_node.report.source import Film
from tests.support import films, phantom_outlines
from tests.unit.report.studies import NODE, NOW, everything

FULL_SET: tuple[ResultKind, ...] = (Report(), Picture(), PresentationState(), Segmentation())
BESIDE: tuple[ResultKind, ...] = (Text(), KeyImages())
_ROWS, _COLUMNS = 3000, 2500
_SEED = 21


def see(film: Film) -> Radiograph:
    """Return a film's pixels."""
    return radiograph(film.header, limits=Limits())


def spent_ms(kind: ResultKind, film: Film) -> float:
    """Return the processor time in milliseconds of composing one kind."""
    order = ComposeRequest(films=[film], see=see, node=NODE, now=NOW)
    start = time.process_time()
    kind.compose(order)
    return (time.process_time() - start) * 1000


def full() -> Film:
    """Return a film of 15 MB with everything that the node says of one."""
    film = everything(films.dx(rows=_ROWS, columns=_COLUMNS))
    if film.reading.prediction is None:
        raise ValueError("a film that was not read")
    made = phantom(seed=_SEED, view=View.PA)
    picture, structures = phantom_outlines.radiograph(made), phantom_outlines.structures(made)
    found = measured(picture, structures)
    rows, columns = picture.p_values.shape

    def moved(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x * _COLUMNS / columns, y * _ROWS / rows) for x, y in points)

    def regions(of: Structure | Observation) -> tuple[Region, ...]:
        return tuple(Region(outline=moved(region.outline)) for region in of.regions)

    numbers: list[Measurement] = [replace(each, line=moved(each.line)) for each in found.measurements]
    said = [replace(each, line=moved(each.line), regions=regions(each)) for each in found.observations]
    outlined = tuple(replace(each, regions=regions(each)) for each in structures)
    prediction = replace(film.reading.prediction, structures=outlined)
    reading = replace(film.reading, prediction=prediction, measurements=tuple(numbers), observations=tuple(said))
    return replace(film, reading=reading)


def line(name: str, times_ms: Sequence[float]) -> str:
    """Return the median of some times and where nineteen of twenty lie."""
    ordered = sorted(times_ms)
    edge = len(ordered) // 40
    return f"{name:24} {statistics.median(ordered):6.0f} ms ({ordered[edge]:.0f} to {ordered[-1 - edge]:.0f})"


def main() -> None:
    """Measure and print a line for each kind, and the full set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    film = full()
    kinds = (*FULL_SET, *BESIDE)
    for kind in kinds:
        spent_ms(kind, film)  # the first time does not count: modules are loaded, tables made
    times = {kind.name: [spent_ms(kind, film) for _ in range(rounds)] for kind in kinds}
    for name, each in times.items():
        print(line(name, each))
    together = zip(*(times[kind.name] for kind in FULL_SET), strict=True)
    print(line(" + ".join(kind.name for kind in FULL_SET), [sum(each) for each in together]))


if __name__ == "__main__":
    main()
