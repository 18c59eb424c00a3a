"""Costs of a film as JSON, and their comparison with earlier ones."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from benchmarks.profiling.stages import OTHER, Costs, stages

_WORSE = 1.25
"""Least ratio of two costs of which the later is called higher."""
_WORSE_LOOPS = 0.25
"""Least difference of two costs in calibration loops, about 2 ms: smaller ones are noise."""
_LOOPS = 40_000
_SORTED = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """Cost of a stage for one film: medians over rounds; `calibrations` is processor time in calibration loops."""

    phase: str
    stage: str
    cpu_ms: float
    wall_ms: float
    calibrations: float
    new_pages_mb: float
    moved_mb: float
    peak_mb: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Costs of one kind of film on one machine. `calibration_ms` is the median of the loop's processor time."""

    machine: str
    at: str
    load: float
    film: str
    film_mb: float
    engine: str
    rounds: int
    calibration_ms: float
    stages: tuple[StageCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the document of JSON."""
        return cls(**{**document, "stages": tuple(StageCost(**stage) for stage in document["stages"])})


def calibrate() -> int:
    """Do a fixed amount of work like that of a film: Python and NumPy; return a number that depends on all of it."""
    total = 0
    for number in range(_LOOPS):
        total += number % 7
    values = (np.arange(_SORTED, dtype=np.uint32) * np.uint32(2654435761)).astype(np.float32)
    return total + int(np.sort(values)[_SORTED // 2]) + int(np.sqrt(values).sum())


def summarize(
    rounds: Sequence[Costs], calibrations_s: Sequence[float], counted: Costs, traced: Costs
) -> list[StageCost]:
    """Return the cost of each stage, in the order of a film's way.

    `counted` has the calls and `traced` the peaks of memory, each of a film of its own.
    """
    summary = []
    for phase, stage in _in_order(rounds[0]):
        key = (phase, stage)
        costs = [costs[key] for costs in rounds if key in costs]
        ratios = [
            costs[key].cpu_s / loop_s for costs, loop_s in zip(rounds, calibrations_s, strict=True) if key in costs
        ]
        summary.append(
            StageCost(
                phase=phase,
                stage=stage,
                cpu_ms=_median(cost.cpu_s * 1000 for cost in costs),
                wall_ms=_median(cost.wall_s * 1000 for cost in costs),
                calibrations=_median(ratios),
                new_pages_mb=_median(cost.new_pages_bytes / 1e6 for cost in costs),
                moved_mb=_median(cost.moved_bytes / 1e6 for cost in costs),
                peak_mb=round(traced[key].peak_bytes / 1e6, 3) if key in traced else 0.0,
                calls=round(counted[key].calls) if key in counted else 0,
            )
        )
    return summary


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def _in_order(costs: Costs) -> list[tuple[str, str]]:
    """Return the stages that a film had, in the order of its way; the rest of each phase first."""
    places = {(stage.phase, stage.name): number for number, stage in enumerate(stages())}
    phases = list(dict.fromkeys(stage.phase for stage in stages()))
    kinds = {stage.phase: places[stage.phase, stage.name] for stage in stages() if stage.by_kind}

    def place(key: tuple[str, str]) -> tuple[int, float]:
        phase, stage = key
        return phases.index(phase), -1.0 if stage == OTHER else places.get(key, kinds.get(phase, 0))

    return sorted(costs, key=place)


def warnings(now: Document, before: Document) -> Iterator[str]:
    """Yield a sentence for each stage that costs more than before, by the calibration loop of the same machine.

    Also for a stage that is new or gone: the two documents are then of different ways.
    """
    earlier = {(cost.phase, cost.stage): cost for cost in before.stages}
    later = {(cost.phase, cost.stage): cost for cost in now.stages}
    for key, cost in later.items():
        name = f"{cost.phase}, {cost.stage}"
        if key not in earlier:
            yield f"{name}: not in the earlier record"
            continue
        was, is_ = earlier[key].calibrations, cost.calibrations
        if is_ > _WORSE * was and is_ - was > _WORSE_LOOPS:
            yield f"{name}: {is_:.2f} calibration loops, {was:.2f} before"
    for phase, stage in earlier.keys() - later.keys():
        yield f"{phase}, {stage}: only in the earlier record"


HEADINGS = ("phase", "stage", "CPU ms", "wall ms", "loops", "new pages MB", "moved MB", "peak MB", "calls")


def table(stages_of_film: Sequence[StageCost]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table, each phase ending with its sum."""
    for phase in dict.fromkeys(cost.phase for cost in stages_of_film):
        of_phase = [cost for cost in stages_of_film if cost.phase == phase]
        for cost in of_phase:
            yield _row(cost)
        yield _row(_sum(phase, of_phase))
    yield _row(_sum("all", stages_of_film))


def _sum(phase: str, costs: Sequence[StageCost]) -> StageCost:
    return StageCost(
        phase=phase,
        stage="**together**",
        cpu_ms=sum(cost.cpu_ms for cost in costs),
        wall_ms=sum(cost.wall_ms for cost in costs),
        calibrations=sum(cost.calibrations for cost in costs),
        new_pages_mb=sum(cost.new_pages_mb for cost in costs),
        moved_mb=sum(cost.moved_mb for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        calls=sum(cost.calls for cost in costs),
    )


def _row(cost: StageCost) -> tuple[str, ...]:
    numbers = (cost.cpu_ms, cost.wall_ms, cost.calibrations, cost.new_pages_mb, cost.moved_mb, cost.peak_mb)
    digits = (1, 1, 2, 1, 1, 1)
    shown = (f"{number:.{places}f}" for number, places in zip(numbers, digits, strict=True))
    return cost.phase, cost.stage, *shown, f"{cost.calls:,}"
