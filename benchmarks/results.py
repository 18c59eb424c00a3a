"""What one core spends on a study's results: the kinds of one film of 15 MB, without the model.

    python -m benchmarks.results [--rounds 5]

The film is made up: 3000 rows of 2500 columns, 16 bits allocated, uncompressed. Its reading has three findings, three
regions, a caliper, and all of the anatomy that is sent, each part a circle over a seventh of the film. Processor time
of one thread, the median of the rounds; the picture's includes the decoding of the film. Every result is checked and
encoded, as it is before it leaves.
"""

import argparse
import math
import statistics
import time
from dataclasses import replace

from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Region, Structure
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.report import segmentation
from cxr_node.report.kinds import KeyImages, Marks, Order, Picture, Report, ResultKind, Segmentation, Text
from cxr_node.report.source import Film
from tests import films
from tests.unit.report.studies import NODE, NOW, everything

KINDS: tuple[ResultKind, ...] = (Report(), Text(), Picture(), Marks(), KeyImages(), Segmentation())


def see(film: Film) -> Radiograph:
    """Return a film's pixels."""
    return radiograph(film.header, limits=Limits())


def spent_s(kind: ResultKind, film: Film) -> float:
    """Return the processor time in seconds of composing one kind."""
    order = Order(films=[film], see=see, node=NODE, now=NOW)
    start = time.process_time()
    kind.compose(order)
    return time.process_time() - start


def outlined(film: Film) -> Film:
    """Return a film on which every part that can be sent is outlined."""
    if film.reading.prediction is None:
        raise ValueError("a film that was not read")
    turns = [2 * math.pi * each / 200 for each in range(200)]
    circle = Region(outline=tuple((1250 + 600 * math.cos(turn), 1500 + 600 * math.sin(turn)) for turn in turns))
    parts = tuple(Structure(key=key, confidence=0.9, regions=(circle,)) for key in segmentation.SEGMENTS)
    return replace(film, reading=replace(film.reading, prediction=replace(film.reading.prediction, structures=parts)))


def main() -> None:
    """Measure and print a line for each kind, and their sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    film = outlined(everything(films.dx(rows=3000, columns=2500)))
    medians_ms = {kind.name: statistics.median(spent_s(kind, film) for _ in range(rounds)) * 1000 for kind in KINDS}
    for name, median_ms in medians_ms.items():
        print(f"{name:8} {median_ms:6.0f} ms")
    print(f"{'all':8} {sum(medians_ms.values()):6.0f} ms")


if __name__ == "__main__":
    main()
