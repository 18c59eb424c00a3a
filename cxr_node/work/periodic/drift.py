"""Whether the model still behaves: days are counted as films are read, and each is judged once it is over."""

import logging
from datetime import date, datetime, timedelta

from cxr_node.db.database import Database
from cxr_node.domain.daily_stats import DriftResult
from cxr_node.monitoring.drift import DriftRules, comparison_windows, evaluate_day
from cxr_node.queries import daily_stats, drift
from cxr_node.work.handler import Clock

_log = logging.getLogger(__name__)

_RECENT = timedelta(days=2)
"""Reports are delivered after films are read: so many days are counted again at each turn."""
_SETTLED = timedelta(hours=1)
"""How long after its end a day is judged."""
_BACK_DAYS = 31
"""A day that is older is judged no more."""


def turn(database: Database, *, rules: DriftRules, clock: Clock) -> None:
    """Count the days that have changed, and judge those that are over."""
    now = clock()
    counted_days(database, now=now)
    for day in _unjudged(database, now - _SETTLED):
        judged_day(database, day, rules=rules, now=now)


def counted_days(database: Database, *, now: datetime) -> None:
    """Count the days of films that were read since days were last counted, and the recent ones."""
    recent = {(now - timedelta(days=k)).date() for k in range(_RECENT.days + 1)}
    while True:
        with database.read() as connection:
            changed, mark = daily_stats.changed_days(connection)
        for day in sorted(changed | recent):
            with database.read() as connection:
                said = daily_stats.compute(connection, day)
            with database.write() as transaction:
                daily_stats.store(transaction, day, said, now=now)
        if mark is None:
            return
        recent = set()
        with database.write() as transaction:
            daily_stats.store_progress(transaction, mark)


def judged_day(database: Database, day: date, *, rules: DriftRules, now: datetime) -> list[DriftResult]:
    """Hold a day against the reference of each model that read films on it."""
    found: list[tuple[int, list[DriftResult]]] = []
    with database.read() as connection:
        for model_id in drift.models_of(connection, day):
            spans = comparison_windows(drift.films_of(connection, model_id, until=day), rules, day=day)
            said = drift.statistics_in(connection, model_id, spans)
            found.append((model_id, evaluate_day(said, spans, rules, day=day)))
    with database.write() as transaction:
        drift.mark_evaluated(transaction, day, now=now)
        for model_id, several in found:
            drift.store(transaction, model_id, several, now=now)
    for each in (verdict for _, several in found for verdict in several if verdict.is_drift):
        _log.warning("drift on %s: %s %s of %s, p %.2g", day, each.kind, each.key, each.device, each.adjusted_p)
    return [verdict for _, several in found for verdict in several]


def _unjudged(database: Database, now: datetime) -> list[date]:
    with database.read() as connection:
        return drift.days_to_evaluate(connection, now=now, at_most=_BACK_DAYS)
