"""Heat map of a finding as a PNG with transparency, drawn over the film."""

import io
from itertools import pairwise

from PIL import Image

from cxr_node.domain.reading import HeatMap

_UPSAMPLING = 8
"""Pixels per cell in each direction, interpolated: a browser would show the cells."""
_STOPS = ((0, (70, 0, 90, 0)), (90, (150, 30, 90, 90)), (170, (230, 120, 20, 165)), (255, (255, 240, 140, 200)))
"""Level to red, green, blue and opacity, linear between stops; the lowest is transparent."""


def png(heat: HeatMap) -> bytes:
    """Return a heat map as a PNG with an alpha channel."""
    levels = Image.frombytes("L", (heat.columns, heat.rows), heat.levels)
    image = levels.resize((heat.columns * _UPSAMPLING, heat.rows * _UPSAMPLING), Image.Resampling.BICUBIC)
    colors = [_color(level) for level in range(256)]
    image.putpalette([part for red, green, blue, _ in colors for part in (red, green, blue)])
    content = io.BytesIO()
    image.save(content, "PNG", transparency=bytes(opacity for *_, opacity in colors), optimize=True)
    return content.getvalue()


def _color(level: int) -> tuple[int, int, int, int]:
    for (low, cold), (high, hot) in pairwise(_STOPS):
        if level <= high:
            share = (level - low) / (high - low)
            red, green, blue, opacity = (round(a + (b - a) * share) for a, b in zip(cold, hot, strict=True))
            return red, green, blue, opacity
    raise ValueError(f"no level: {level}")
