"""Whether the model still behaves, wired from settings."""

from contextlib import ExitStack
from datetime import date
from functools import partial

from cxr_node import behaving
from cxr_node.behaviour.drift import Rules
from cxr_node.domain.days import Kind
from cxr_node.jobs.database import Database
from cxr_node.node import places
from cxr_node.schedule import Schedule
from cxr_node.settings.behaving import DriftSection
from cxr_node.settings.whole import Settings

_COUNT_S = 600.0


def watch(settings: Settings, opened: Database, stack: ExitStack) -> None:
    """Count days and judge them, as far as the settings say, until `stack` is left."""
    if settings.drift.enabled:
        stack.enter_context(Schedule(partial(count, settings, opened), tick_s=_COUNT_S))


def count(settings: Settings, opened: Database) -> None:
    """Count the days that have changed and judge those that are over, unless another host is at it."""
    with opened.alone("drift") as is_ours:
        if is_ours:
            behaving.turn(opened, rules=drift_rules(settings.drift), clock=places.now)


def drift_rules(section: DriftSection) -> Rules:
    """Return when a difference is drift."""
    declared = (section.reference_from, section.reference_until)
    first, last = (date.fromisoformat(day) if all(declared) else None for day in declared)
    return Rules(
        reference_films=section.reference_films,
        reference_days=section.reference_days,
        reference_from=first,
        reference_until=last,
        window_days=section.window_days,
        minimum_films=section.minimum_films,
        alpha=section.alpha,
        least_effects={
            Kind.SCORE: section.least_score_effect,
            Kind.POSITIVE: section.least_rate_effect,
            Kind.REJECTED: section.least_rate_effect,
            Kind.TURNAROUND: section.least_turnaround_effect,
        },
    )
