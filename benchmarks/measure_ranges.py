"""What normal phantoms measure: where the ranges of docs/measurements.md come from.

    python -m benchmarks.measure_ranges [--films 240] [--first 4300000]

Every number of every normal film, PA and AP in turn, structures as `tests.support.phantom_outlines` outlines them.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from cxr_node.domain.radiograph import View
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.phantom.film import film
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.phantom_outlines import radiograph, structures

_PERCENTILES = (1, 2, 5, 50, 95, 98, 99)


def made(first: int, count: int) -> Iterator[PhantomFilm]:
    """Yield normal phantoms, PA and AP in turn."""
    for seed in range(first, first + count):
        yield film(seed=seed, view=View.AP if seed % 2 else View.PA)


def taken(films: Iterable[PhantomFilm]) -> Iterator[FilmMeasurements]:
    """Yield what is measured on each."""
    for one in films:
        yield measure_film(radiograph(one), structures(one))


def table(found: Iterable[FilmMeasurements]) -> Iterator[str]:
    """Yield the table's lines."""
    values = defaultdict(list)
    for each in found:
        for number in each.measurements:
            values[number.key].append(number.value)
    yield "| measurement | n | " + " | ".join(f"{each} %" for each in _PERCENTILES) + " |"
    yield "|---" * (len(_PERCENTILES) + 2) + "|"
    for key, numbers in values.items():
        cells = " | ".join(f"{each:.3g}" for each in np.percentile(numbers, _PERCENTILES))
        yield f"| {key} | {len(numbers)} | {cells} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=240)
    parser.add_argument("--first", type=int, default=4_300_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in table(taken(made(arguments.first, arguments.films))):
        print(line)


if __name__ == "__main__":
    main()
