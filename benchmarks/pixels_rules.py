"""Counts right and wrong decisions of the picture rules on a folder of upright frontal chest films, 8-bit gray.

    python -m benchmarks.pixels_rules FOLDER

The films must have the right polarity, as in a curated collection; each is checked as it is and as its negative.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import WHITE, Radiograph, UInt16
from cxr_node.pixels import image_statistics
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import judge_picture

RULES = Rules(minimum_side_pixels=1)


def decisions(p_values: UInt16) -> list[str]:
    """Return the decisions of the rules on a film and on its negative."""
    negative = (WHITE - p_values.astype(np.int32)).astype(np.uint16)
    geometry = Geometry(rows=p_values.shape[0], columns=p_values.shape[1])
    verdict = judge_picture(Radiograph(p_values=p_values, geometry=geometry, grayscale=""), RULES)
    results = {
        "inverted (wrong)": image_statistics.polarity(p_values).is_reversed,
        "negative detected (right)": image_statistics.polarity(negative).is_reversed,
        "rotated by 90 degrees and inverted (wrong)": image_statistics.polarity(np.rot90(p_values)).is_reversed,
        "refused for quality": verdict.refused is not None,
        "text detected": bool(verdict.notes),
    }
    return [sentence for sentence, holds in results.items() if holds]


def main() -> None:
    """Count and print the decisions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    counts: Counter[str] = Counter()
    paths = sorted(path for path in parser.parse_args().folder.iterdir() if path.suffix in (".png", ".jpeg", ".jpg"))
    for path in paths:
        with Image.open(path) as film:
            p_values = np.asarray(film.convert("L")).astype(np.uint16) * 257
        counts.update(decisions(p_values))
    print(f"{len(paths)} films")
    for sentence, count in sorted(counts.items()):
        print(f"{count:5} {sentence}")


if __name__ == "__main__":
    main()
