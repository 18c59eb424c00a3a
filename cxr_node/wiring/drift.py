"""Drift monitoring, wired from settings."""

from datetime import date

from cxr_node.domain.daily_stats import Statistic
from cxr_node.monitoring.drift import DriftRules
from cxr_node.settings.monitoring import DriftSection
from cxr_node.wiring.process import Process
from cxr_node.work.periodic import drift


def judge_days(process: Process) -> None:
    """Update daily statistics and test the days that are over. One host runs it at a time."""
    drift.turn(process.database, rules=drift_rules(process.settings.drift), clock=process.clock)


def drift_rules(section: DriftSection) -> DriftRules:
    """Return the rules by which a difference is drift."""
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
