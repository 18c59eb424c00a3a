"""Drift job: updates the daily statistics, and evaluates each day for drift once it is over."""

import logging
from datetime import date, datetime, timedelta

from cxr_node.db.database import Database
from cxr_node.domain.clock import Clock
from cxr_node.domain.daily_stats import DriftResult
from cxr_node.monitoring.drift import DriftRules, comparison_windows, evaluate_day
from cxr_node.queries import daily_stats, drift

_log = logging.getLogger(__name__)

_RECENT = timedelta(days=2)
"""Days whose statistics each turn computes again: reports are delivered after films are read."""
_SETTLED = timedelta(hours=1)
"""Delay after the end of a day before it is evaluated."""
_BACK_DAYS = 31
"""Oldest day that is evaluated."""


def turn(database: Database, *, rules: DriftRules, clock: Clock) -> None:
    """Update the statistics of changed days, and evaluate days that are over."""
    now = clock()
    update_daily_statistics(database, now=now)
    with database.read() as connection:
        days = drift.days_to_evaluate(connection, now=now - _SETTLED, at_most=_BACK_DAYS)
    for day in days:
        evaluate_and_store(database, day, rules=rules, now=now)


def update_daily_statistics(database: Database, *, now: datetime) -> None:
    """Update the statistics of recent days, and of the days of films read since the last update."""
    recent = {(now - timedelta(days=k)).date() for k in range(_RECENT.days + 1)}
    while True:
        with database.read() as connection:
            changed, progress = daily_stats.changed_days(connection)
        for day in sorted(changed | recent):
            with database.read() as connection:
                statistics = daily_stats.compute(connection, day)
            with database.write() as transaction:
                daily_stats.store(transaction, day, statistics, now=now)
        if progress is None:
            return
        recent = set()
        with database.write() as transaction:
            daily_stats.store_progress(transaction, progress)


def evaluate_and_store(database: Database, day: date, *, rules: DriftRules, now: datetime) -> list[DriftResult]:
    """Compare a day with the reference of each model that read films on it."""
    by_model: dict[int, list[DriftResult]] = {}
    with database.read() as connection:
        for model_id in drift.models_of(connection, day):
            windows = comparison_windows(drift.films_of(connection, model_id, until=day), rules, day=day)
            statistics = drift.statistics_in(connection, model_id, windows)
            by_model[model_id] = evaluate_day(statistics, windows, rules, day=day)
    with database.write() as transaction:
        drift.mark_evaluated(transaction, day, now=now)
        for model_id, model_results in by_model.items():
            drift.store(transaction, model_id, model_results, now=now)
    results = [result for model_results in by_model.values() for result in model_results]
    for result in results:
        if result.is_drift:
            p = result.adjusted_p
            _log.warning("drift on %s: %s %s of %s, p %.2g", day, result.kind, result.key, result.device, p)
    return results
