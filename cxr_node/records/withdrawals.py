"""Withdrawn results: which they are, the rejection notes that are still to be composed, and the issue of a study."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, func, insert, or_, select, update

from cxr_node.db.correction_tables import study_issue, withdrawal
from cxr_node.db.database import Transaction
from cxr_node.db.states import State
from cxr_node.db.tables import delivery, job, result, study
from cxr_node.domain.rejection_titles import NOTE_KIND, RejectionTitle
from cxr_node.queue import queue
from cxr_node.records import notifications, results
from cxr_node.records.results import Result

_BEFORE_IT_WAS_SENT = "withdrawn before it was sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """How often all results of a study were withdrawn, and when last; results composed since have other UIDs."""

    number: int = 0
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Results of one patient that one rejection note withdraws at the same destinations."""

    title: RejectionTitle
    detail: str
    withdrawn_at: datetime
    results: tuple[Result, ...]
    destinations: tuple[str, ...]

    @property
    def result_ids(self) -> list[int]:
        """Ids of the results."""
        return [one.result_id for one in self.results]


def issue_of(connection: Connection, study_id: int) -> Issue:
    """Return the issue of a study."""
    row = connection.execute(_ISSUE, {"study_id": study_id}).first()
    return Issue() if row is None else Issue(number=row.number, withdrawn_at=row.withdrawn_at)


def locked_issue(transaction: Transaction, study_id: int) -> Issue:
    """Return the issue of a study, which does not change before the end of the transaction."""
    transaction.connection.execute(_LOCK_SHARED, {"study_id": study_id})
    return issue_of(transaction.connection, study_id)


def lock(transaction: Transaction, study_ids: Iterable[int]) -> None:
    """Lock studies whose results are to be withdrawn, in one order; before any job of theirs, as `boost_study` does."""
    for study_id in sorted(set(study_ids)):
        transaction.connection.execute(_LOCK, {"study_id": study_id})


def withdraw(
    transaction: Transaction, study_id: int, title: RejectionTitle, *, detail: str, actor: str, now: datetime
) -> int:
    """Withdraw every result of a study, and have it composed anew; return their number.

    Deliveries that wait are ended. A compose job makes the rejection notes for destinations that have a result, or
    may have it, and then what the study's films say now. Results that are being composed meanwhile are discarded, and
    notifications of findings are retracted.
    """
    connection = transaction.connection
    lock(transaction, [study_id])
    number = issue_of(connection, study_id).number
    if number:
        of_study = update(study_issue).where(study_issue.c.study_id == study_id)
        connection.execute(of_study.values(number=number + 1, withdrawn_at=now))
    else:
        connection.execute(insert(study_issue).values(study_id=study_id, number=1, withdrawn_at=now))
    present = select(result.c.id).where(
        result.c.study_id == study_id, result.c.kind != NOTE_KIND, ~results.IS_WITHDRAWN
    )
    result_ids = list(connection.execute(present.order_by(result.c.id)).scalars())
    if result_ids:
        columns = {"title": title, "detail": detail, "withdrawn_by": actor, "withdrawn_at": now}
        connection.execute(insert(withdrawal), [{"result_id": result_id, **columns} for result_id in result_ids])
        superseded = update(result).where(result.c.id.in_(result_ids), result.c.superseded_at.is_(None))
        connection.execute(superseded.values(superseded_at=now))
        waiting = (
            select(job.c.id)
            .join(delivery, delivery.c.id == job.c.delivery_id)
            .where(delivery.c.result_id.in_(result_ids), job.c.state.in_([State.WAITING, State.FAILED]))
        )
        job_ids = list(connection.execute(waiting).scalars())
        queue.dismiss(transaction, job_ids, reason=None, detail=_BEFORE_IT_WAS_SENT, actor=actor, now=now)
    notifications.withdraw(transaction, study_id, now=now)
    queue.add_compose(transaction, study_id, due_at=now, now=now)
    return len(result_ids)


def without_note(connection: Connection, of_study: Sequence[Result]) -> list[Withdrawn]:
    """Return those of a study's results that are withdrawn and that a destination has without a rejection note.

    A destination has a result, or may have it, if it was sent there at least once.
    """
    return _withdrawn(connection, of_study, withdrawal.c.note_id.is_(None))


def of_note(connection: Connection, note: Result) -> Withdrawn | None:
    """Return what a rejection note withdraws."""
    of_study = results.of_study(connection, note.study_id)
    return next(iter(_withdrawn(connection, of_study, withdrawal.c.note_id == note.result_id)), None)


def set_note(transaction: Transaction, result_ids: Sequence[int], note_id: int) -> None:
    """Record the rejection note of withdrawn results."""
    of_results = update(withdrawal).where(withdrawal.c.result_id.in_(result_ids))
    transaction.connection.execute(of_results.values(note_id=note_id))


def _withdrawn(connection: Connection, of_study: Sequence[Result], condition: ColumnElement[bool]) -> list[Withdrawn]:
    if not of_study:
        return []
    by_id = {one.result_id: one for one in of_study}
    query = select(withdrawal).where(withdrawal.c.result_id.in_(by_id), condition).order_by(withdrawal.c.result_id)
    rows = connection.execute(query).mappings().all()
    if not rows:
        return []
    destinations = _destinations(connection, [row["result_id"] for row in rows])
    groups: defaultdict[tuple[object, ...], list[Result]] = defaultdict(list)
    causes: dict[tuple[object, ...], RowMapping] = {}
    for row in rows:
        one = by_id[row["result_id"]]
        if names := destinations.get(one.result_id):
            key = (one.identity.patient_key, row["title"], row["withdrawn_at"], tuple(sorted(names)))
            groups[key].append(one)
            causes[key] = row
    return [
        Withdrawn(
            title=RejectionTitle(causes[key]["title"]),
            detail=causes[key]["detail"],
            withdrawn_at=causes[key]["withdrawn_at"],
            results=tuple(group),
            destinations=tuple(sorted(destinations[group[0].result_id])),
        )
        for key, group in groups.items()
    ]


def _destinations(connection: Connection, result_ids: Sequence[int]) -> dict[int, set[str]]:
    """Return by result the destinations that have it, or may have it: it was sent there at least once."""
    query = (
        select(delivery.c.result_id, delivery.c.destination)
        .join(job, job.c.delivery_id == delivery.c.id)
        .where(
            delivery.c.result_id.in_(result_ids),
            or_(
                func.coalesce(delivery.c.first_delivered_at, delivery.c.delivered_at).is_not(None),
                job.c.attempts > 0,
                job.c.first_ended_at.is_not(None),
            ),
        )
    )
    names: defaultdict[int, set[str]] = defaultdict(set)
    for result_id, destination in connection.execute(query):
        names[result_id].add(destination)
    return names


_ISSUE = select(study_issue.c.number, study_issue.c.withdrawn_at).where(study_issue.c.study_id == bindparam("study_id"))
_OF_STUDY = select(study.c.id).where(study.c.id == bindparam("study_id"))
_LOCK, _LOCK_SHARED = _OF_STUDY.with_for_update(), _OF_STUDY.with_for_update(read=True)
