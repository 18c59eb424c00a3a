"""Recorder of measurements and observations, in film coordinates: the only mutable object of this package."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import NOT_MEASURABLE
from cxr_node.domain.reading import Laterality, Measurement, Observation, Topic
from cxr_node.measure.grid import GridTransform, Points

_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What is measured: `key` is unique on a film, `code` is the concept, `site` and `laterality` the place."""

    key: str
    topic: Topic
    code: Code
    unit: Code
    site: Code | None = None
    laterality: Laterality | None = None


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Measurements and observations of one film, in the order of recording."""

    transform: GridTransform
    measurements: list[Measurement] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)

    def write(self, quantity: Quantity, value: float, line: Points, provenance: str) -> None:
        """Record a value with its line on the grid; a value that is not finite becomes "not measurable"."""
        if not math.isfinite(value) or len(line) < 2 or not np.isfinite(line).all():
            self.not_measurable(quantity, "no number came of it")
            return
        self.measurements.append(
            Measurement(
                key=quantity.key,
                code=quantity.code,
                value=float(f"{value:.{_DIGITS}g}"),
                unit=quantity.unit,
                line=self.transform.to_film(line),
                provenance=provenance,
                topic=quantity.topic,
                site=quantity.site,
                laterality=quantity.laterality,
            )
        )

    def not_measurable(self, quantity: Quantity, reason: str) -> None:
        """Record that there is no value, and the reason."""
        self.observations.append(
            Observation(
                key=f"{quantity.key}/not_measurable",
                topic=quantity.topic,
                code=NOT_MEASURABLE,
                value=quantity.code,
                detail=reason,
                site=quantity.site,
                laterality=quantity.laterality,
            )
        )

    def measure(
        self, quantity: Quantity, obstacle: str, compute: Callable[[], tuple[float, Points]], provenance: str
    ) -> None:
        """Record what `compute` returns, or the `obstacle` if there is one."""
        if obstacle:
            self.not_measurable(quantity, obstacle)
        else:
            self.write(quantity, *compute(), provenance)
