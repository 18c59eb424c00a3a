"""Where measurements are written down, with the way back to the film's coordinates. The one thing here with a state."""

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
class What:
    """What is measured: `key` names it once a film, `code` what it is, `site` and `laterality` where it is."""

    key: str
    topic: Topic
    code: Code
    unit: Code
    site: Code | None = None
    laterality: Laterality | None = None


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Measurements and observations of one film, in the order in which they were taken."""

    place: GridTransform
    measurements: list[Measurement] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)

    def write(self, what: What, value: float, line: Points, provenance: str) -> None:
        """Write a number down with its line on the grid; one that is none becomes "not measurable"."""
        if not math.isfinite(value) or len(line) < 2 or not np.isfinite(line).all():
            self.cannot(what, "no number came of it")
            return
        self.measurements.append(
            Measurement(
                key=what.key,
                code=what.code,
                value=float(f"{value:.{_DIGITS}g}"),
                unit=what.unit,
                line=self.place.on_film(line),
                provenance=provenance,
                topic=what.topic,
                site=what.site,
                laterality=what.laterality,
            )
        )

    def cannot(self, what: What, reason: str) -> None:
        """Write down that something cannot be measured, and why."""
        self.observations.append(
            Observation(
                key=f"{what.key}/not_measurable",
                topic=what.topic,
                code=NOT_MEASURABLE,
                value=what.code,
                detail=reason,
                site=what.site,
                laterality=what.laterality,
            )
        )

    def measure(self, what: What, against: str, taken: Callable[[], tuple[float, Points]], provenance: str) -> None:
        """Write down what `taken` returns, unless there is something `against` taking it."""
        if against:
            self.cannot(what, against)
        else:
            self.write(what, *taken(), provenance)
