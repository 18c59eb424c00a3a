"""Reference ranges of docs/reference/measurements.md: percentiles of every measurement on normal phantoms.

    python -m benchmarks.measure_ranges [--films 240] [--first 4300000]

All measurements of all normal films, PA and AP in turn, structures as `tests.support.phantom_outlines` outlines them.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from cxr_node.domain.film_geometry import View
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.phantom.film import film
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.phantom_outlines import radiograph, structures

_PERCENTILES = (1, 2, 5, 50, 95, 98, 99)


def phantoms(first: int, count: int) -> Iterator[PhantomFilm]:
    """Yield normal phantoms, PA and AP in turn."""
    for seed in range(first, first + count):
        yield film(seed=seed, view=View.AP if seed % 2 else View.PA)


def measured(films: Iterable[PhantomFilm]) -> Iterator[FilmMeasurements]:
    """Yield the measurements of each film."""
    for phantom in films:
        yield measure_film(radiograph(phantom), structures(phantom))


def table(films: Iterable[FilmMeasurements]) -> Iterator[str]:
    """Yield the lines of the table."""
    values = defaultdict(list)
    for film_measurements in films:
        for measurement in film_measurements.measurements:
            values[measurement.key].append(measurement.value)
    yield "| measurement | n | " + " | ".join(f"{percentile} %" for percentile in _PERCENTILES) + " |"
    yield "|---" * (len(_PERCENTILES) + 2) + "|"
    for key, numbers in values.items():
        cells = " | ".join(f"{value:.3g}" for value in np.percentile(numbers, _PERCENTILES))
        yield f"| {key} | {len(numbers)} | {cells} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=240)
    parser.add_argument("--first", type=int, default=4_300_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in table(measured(phantoms(arguments.first, arguments.films))):
        print(line)


if __name__ == "__main__":
    main()
