"""Limits of repeatability: differences that films of an unchanged patient show, taken twice.

They are in repeatability.toml, for the model whose outlines and scores were measured: `python -m
benchmarks.repeatability` writes that file, and docs/reference/measurements.md states it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits by view and key of a measurement, or `score/` and the key of a finding, for one model.

    A difference beyond its limit, in either direction, is a change.
    """

    weights_digest: Digest
    by_view: Mapping[View, Mapping[str, float]]

    def limit(self, key: str, view: View, weights_digest: Digest) -> float | None:
        """Return the limit of a value by a model; None where none was measured."""
        if weights_digest != self.weights_digest:
            return None
        return self.by_view.get(view, {}).get(key)


def parse_limits(text: str) -> Limits:
    """Return the limits of a TOML text: `weights_digest`, and a table of numbers for each view."""
    document = tomllib.loads(text)
    digest = Digest(document.pop("weights_digest"))
    by_view = {View(view): {key: float(value) for key, value in table.items()} for view, table in document.items()}
    if any(value <= 0 for table in by_view.values() for value in table.values()):
        raise ValueError("limits of repeatability are greater than 0")
    return Limits(weights_digest=digest, by_view=by_view)


@cache
def measured_limits() -> Limits:
    """Return the limits that were measured for the built-in bundle."""
    return parse_limits(files(__package__).joinpath("repeatability.toml").read_text(encoding="utf-8"))
