"""Compares phantoms with real films: brightness percentiles and fine contrast of the middle of the chest."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import WHITE, Float32
from cxr_node.phantom.thorax import RANGES
from cxr_node.phantom.truth_types import PhantomFilm

PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
_COARSE_PIXELS = 16
"""Block size for a width of 512 pixels; variation within blocks is fine contrast."""


def brightness(film: Float32) -> npt.NDArray[np.float64]:
    """Return percentiles of the middle of a film (values 0 black to 1 white), then its fine contrast.

    The middle is 20 to 65 % of the height and 15 to 85 % of the width: mostly lungs and heart. Fine
    contrast is the standard deviation of the residuals from means over a 32nd of the width.
    """
    rows, columns = film.shape
    middle = film[rows // 5 : rows * 13 // 20, columns * 3 // 20 : columns * 17 // 20].astype(np.float64)
    size = max(2, columns * _COARSE_PIXELS // 512)
    cut = middle[: middle.shape[0] // size * size, : middle.shape[1] // size * size]
    blocks = cut.reshape(cut.shape[0] // size, size, cut.shape[1] // size, size)
    fine = blocks - blocks.mean(axis=(1, 3), keepdims=True)
    return np.append(np.percentile(middle, PERCENTILES), fine.std())


def table(named: Sequence[tuple[str, Iterable[Float32]]]) -> str:
    """Return a Markdown table: for each group of films, mean and deviation of `brightness`."""
    lines = [
        "| films | " + " | ".join(f"{p} %" for p in PERCENTILES) + " | fine contrast |",
        "|---" * (len(PERCENTILES) + 2) + "|",
    ]
    for name, films in named:
        values = np.stack([brightness(film) for film in films])
        cells = [f"{mean:.2f} ({deviation:.2f})" for mean, deviation in zip(values.mean(0), values.std(0), strict=True)]
        cells[-1] = f"{values[:, -1].mean():.3f} ({values[:, -1].std():.3f})"
        lines.append(f"| {name} (n = {len(values)}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ranges() -> str:
    """Return the anatomical ranges as a Markdown table: mean, deviation and limits of men and women."""
    lines = ["| measure | men | women | from |", "|---|---|---|---|"]
    for name, (men, women) in RANGES.items():
        cells = [
            f"{limits.mean:g} ({limits.deviation:g}), {limits.low:g} to {limits.high:g}" for limits in (men, women)
        ]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {men.source} |")
    return "\n".join(lines)


def brightness_of(film: PhantomFilm) -> Float32:
    """Return the film's brightness, 0 black to 1 white."""
    return film.p_values.astype(np.float32) / np.float32(WHITE)
