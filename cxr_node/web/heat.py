"""Where a finding's score comes from, as a transparent picture to lay over the film."""

import io
from itertools import pairwise

from PIL import Image

from cxr_node.domain.reading import HeatMap

_FINER = 8
"""Each cell becomes so many pixels each way, interpolated: a browser would show the cells."""
_STOPS = ((0, (70, 0, 90, 0)), (90, (150, 30, 90, 90)), (170, (230, 120, 20, 165)), (255, (255, 240, 140, 200)))
"""Level to red, green, blue and opacity; between two stops they change evenly. The coldest is clear."""


def png(heat: HeatMap) -> bytes:
    """Return a heat map as a PNG with an alpha channel."""
    levels = Image.frombytes("L", (heat.columns, heat.rows), heat.levels)
    fine = levels.resize((heat.columns * _FINER, heat.rows * _FINER), Image.Resampling.BICUBIC)
    colors = [_color(level) for level in range(256)]
    fine.putpalette([part for red, green, blue, _ in colors for part in (red, green, blue)])
    written = io.BytesIO()
    fine.save(written, "PNG", transparency=bytes(opacity for *_, opacity in colors), optimize=True)
    return written.getvalue()


def _color(level: int) -> tuple[int, int, int, int]:
    for (low, cold), (high, hot) in pairwise(_STOPS):
        if level <= high:
            share = (level - low) / (high - low)
            red, green, blue, opacity = (round(a + (b - a) * share) for a, b in zip(cold, hot, strict=True))
            return red, green, blue, opacity
    raise ValueError(f"no level: {level}")
