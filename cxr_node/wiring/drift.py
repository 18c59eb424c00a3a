"""Whether the model still behaves, wired from settings."""

from contextlib import ExitStack
from datetime import date
from functools import partial

from cxr_node.db.database import Database
from cxr_node.domain.daily_stats import Statistic
from cxr_node.monitoring.drift import DriftRules
from cxr_node.settings.monitoring import DriftSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import process
from cxr_node.work.periodic import drift
from cxr_node.work.scheduler import Schedule

_COUNT_S = 600.0


def watch(settings: Settings, opened: Database, stack: ExitStack) -> None:
    """Count days and judge them, as far as the settings say, until `stack` is left."""
    if settings.drift.enabled:
        stack.enter_context(Schedule(partial(count, settings, opened), tick_s=_COUNT_S))


def count(settings: Settings, opened: Database) -> None:
    """Count the days that have changed and judge those that are over, unless another host is at it."""
    with opened.exclusive("drift") as is_ours:
        if is_ours:
            drift.turn(opened, rules=drift_rules(settings.drift), clock=process.now)


def drift_rules(section: DriftSection) -> DriftRules:
    """Return when a difference is drift."""
    declared = (section.reference_from, section.reference_until)
    first, last = (date.fromisoformat(day) if all(declared) else None for day in declared)
    return DriftRules(
        reference_films=section.reference_films,
        reference_days=section.reference_days,
        reference_from=first,
        reference_until=last,
        window_days=section.window_days,
        minimum_films=section.minimum_films,
        alpha=section.alpha,
        least_effects={
            Statistic.SCORE: section.least_score_effect,
            Statistic.POSITIVE: section.least_rate_effect,
            Statistic.REJECTED: section.least_rate_effect,
            Statistic.TURNAROUND: section.least_turnaround_effect,
        },
    )
