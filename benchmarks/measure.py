"""Processor time of measuring a film on one core, compared with the network that outlines it.

    python -m benchmarks.measure [--rounds 9] [--bundle NAME]

A phantom of 512 rows and columns with its true outlines, and the same enlarged to 3072. The network is a bundle's: its
forward pass on one prepared film, one thread. Median of the rounds. Without --bundle, the first built-in bundle.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Region, Structure
from cxr_node.infer import bundle, bundle_registry, prepare
from cxr_node.infer.reader import Reader
from cxr_node.measure.film import measure_film
from cxr_node.phantom.film import film
from tests.support.phantom_outlines import radiograph, structures

_LARGE = 6


def spent_ms(work: Callable[[], object], rounds: int) -> float:
    """Return the median processor time of `work` in milliseconds; the first run does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times[1:]) * 1000


def enlarged(picture: Radiograph, outlines: tuple[Structure, ...]) -> tuple[Radiograph, tuple[Structure, ...]]:
    """Return a film and its outlines, six times as large."""
    pixels = np.repeat(np.repeat(picture.p_values, _LARGE, 0), _LARGE, 1)
    geometry = replace(picture.geometry, rows=pixels.shape[0], columns=pixels.shape[1])
    enlarged_outlines = tuple(
        replace(
            structure,
            regions=tuple(
                Region(outline=tuple((x * _LARGE, y * _LARGE) for x, y in region.outline))
                for region in structure.regions
            ),
        )
        for structure in outlines
    )
    return replace(picture, p_values=pixels, geometry=geometry), enlarged_outlines


def main() -> None:
    """Measure and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bundle", default=bundle_registry.built_in()[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    phantom = film(seed=4_990_000, view=View.PA)
    small = radiograph(phantom), structures(phantom)
    large = enlarged(*small)
    for name, (picture, outlines) in (("512 x 512", small), ("3072 x 3072", large)):
        spent = spent_ms(lambda picture=picture, outlines=outlines: measure_film(picture, outlines), arguments.rounds)  # type: ignore[misc]  # bound for this turn
        print(f"measurements of a film of {name:12} {spent:6.0f} ms")
    loaded = bundle.load(bundle_registry.find(arguments.bundle))
    reader = Reader(loaded, device="cpu")
    outlined = reader.read([small[0]])[0].structures
    if outlined:
        spent = spent_ms(lambda: measure_film(small[0], outlined), arguments.rounds)
        print(f"measurements of a film of 512 x 512, on the bundle's own outlines {spent:6.0f} ms")
    prepared = torch.from_numpy(prepare.prepare(small[0], loaded.card.input.frame))[None, None]
    program = loaded.program(torch.device("cpu"))
    with torch.inference_mode():
        spent = spent_ms(lambda: program(prepared), arguments.rounds)
    print(f"forward pass of {arguments.bundle} {spent:6.0f} ms")
    spent = spent_ms(lambda: reader.read([small[0]]), arguments.rounds)
    print(f"one reading of a 512 film by {arguments.bundle} {spent:6.0f} ms")


if __name__ == "__main__":
    main()
