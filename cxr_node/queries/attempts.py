"""Attempts at jobs with start, end and outcome, in the order of their end: the spans of a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from cxr_node.db.states import Event, Stage
from cxr_node.db.tables import delivery, film, job, job_event, result, study
from cxr_node.domain.identifiers import Uid

END_EVENTS = (Event.FINISHED, Event.NOT_ANALYSED, Event.RETRY, Event.GAVE_UP, Event.LEASE_LOST, Event.RELEASED)


class Step(StrEnum):
    """A step of the main path."""

    ACCEPT = "accept"
    READ = "read"
    COMPOSE = "compose"
    DELIVER = "deliver"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a step of a study, with start, end and outcome.

    `span_mark` is unique among the attempts at this step of the study; `after` is the step and mark of the attempt
    that led to this one, if any. `outcome` is the event that ended it; for an accepted film, "created".
    """

    step: Step
    study_instance_uid: Uid
    span_mark: int
    after: tuple[Step, int] | None
    job_id: int
    study_id: int
    film_id: int | None
    destination: str | None
    began_at: datetime
    ended_at: datetime
    outcome: Event
    reason: str | None
    status: int | None


def _acceptance_before(connection: Connection, row: Row[tuple[object, ...]], claim_id: int) -> int | None:
    """Return the event before a claim in which the destination accepted the result; None if it had not."""
    of_job = (job_event.c.job_id == row.job_id, job_event.c.id < claim_id, job_event.c.event == Event.RETRY)
    return connection.execute(
        select(func.min(job_event.c.id)).where(*of_job, job_event.c.at == row.delivered_at)
    ).scalar()


class _Claimed(NamedTuple):
    id: int
    at: datetime


def last_event_id(connection: Connection) -> int:
    """Return the number of the newest event; 0 if there is none."""
    return connection.execute(select(func.max(job_event.c.id))).scalar() or 0


def ended_after(connection: Connection, event_id: int, *, before: datetime, limit: int) -> tuple[list[Attempt], int]:
    """Return attempts that ended after an event and before a time, and the last event that was examined.

    Events get their number before they are committed. `before` leaves out recent ones, as events with lower numbers
    may still be committed.
    """
    rows = connection.execute(
        select(job_event.c.id, job_event.c.event, job_event.c.at, *_OF_JOB)
        .join(job, job.c.id == job_event.c.job_id)
        .outerjoin(delivery, delivery.c.id == job.c.delivery_id)
        .outerjoin(result, result.c.id == delivery.c.result_id)
        .outerjoin(film, film.c.id == job.c.film_id)
        .where(job_event.c.id > event_id)
        .order_by(job_event.c.id)
        .limit(limit)
    ).all()
    attempts: list[Attempt] = []
    for row in rows:
        if row.at >= before:
            break
        event_id = row.id
        attempt = _attempt(connection, row)
        if attempt is not None:
            attempts.append(attempt)
    return attempts, event_id


_OF_JOB: Sequence[ColumnElement[object]] = (
    job.c.id.label("job_id"),
    job.c.stage,
    job.c.reason,
    job.c.film_id,
    func.coalesce(job.c.study_id, result.c.study_id, film.c.study_id).label("study_id"),
    delivery.c.destination,
    delivery.c.status,
    delivery.c.delivered_at,
    film.c.received_at,
    film.c.association,
)


def _attempt(connection: Connection, row: Row[tuple[object, ...]]) -> Attempt | None:
    """Return the attempt that an event ended; None for other events and for commit jobs, which have no film."""
    event, stage = Event(row.event), Stage(row.stage)
    if row.study_id is None:
        return None
    if event is Event.CREATED and stage is Stage.READ:
        return _attempt_of(
            connection,
            row,
            Step.ACCEPT,
            mark=row.film_id,
            after=_first_acceptance(connection, row),
            began_at=_began_at(connection, row),
        )
    if event not in END_EVENTS:
        return None
    claim = _claim(connection, job_event.c.job_id == row.job_id, job_event.c.id < row.id)
    if claim is None:  # ended without a claim
        return None
    step = Step(stage.value)
    if step is Step.DELIVER and _acceptance_before(connection, row, claim.id) is not None:
        step = Step.CONFIRM
    return _attempt_of(
        connection, row, step, mark=claim.id, after=_before(connection, row, step, claim.id), began_at=claim.at
    )


def _attempt_of(
    connection: Connection,
    row: Row[tuple[object, ...]],
    step: Step,
    *,
    mark: int,
    after: tuple[Step, int] | None,
    began_at: datetime,
) -> Attempt:
    uid = connection.execute(select(study.c.study_instance_uid).where(study.c.id == row.study_id)).scalar_one()
    return Attempt(
        step=step,
        study_instance_uid=Uid(uid),
        span_mark=mark,
        after=after,
        job_id=row.job_id,
        study_id=row.study_id,
        film_id=row.film_id,
        destination=row.destination,
        began_at=min(began_at, row.at),
        ended_at=row.at,
        outcome=Event(row.event),
        reason=row.reason,
        status=row.status if step is Step.DELIVER else None,
    )


def _first_acceptance(connection: Connection, row: Row[tuple[object, ...]]) -> tuple[Step, int] | None:
    """Return the acceptance of the first film of the study; None for that film itself."""
    first = connection.execute(select(func.min(film.c.id)).where(film.c.study_id == row.study_id)).scalar_one()
    return None if first == row.film_id else (Step.ACCEPT, first)


def _began_at(connection: Connection, row: Row[tuple[object, ...]]) -> datetime:
    """Return when the acceptance of a film began: with its association, or after the film before it on that."""
    before = connection.execute(
        select(func.max(film.c.received_at)).where(
            film.c.study_id == row.study_id, film.c.association == row.association, film.c.id < row.film_id
        )
    ).scalar()
    at: datetime = before or _time_of(row.association) or row.received_at
    return at


def _time_of(association: str) -> datetime | None:
    """Return when an association was opened, from its identifier; None if that has no time."""
    try:
        return datetime.strptime(association.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _before(connection: Connection, row: Row[tuple[object, ...]], step: Step, claim_id: int) -> tuple[Step, int] | None:
    """Return the attempt that led to a claim."""
    of_study = job.c.study_id == row.study_id
    match step:
        case Step.READ:
            return Step.ACCEPT, row.film_id
        case Step.COMPOSE:
            of_study = job.c.film_id.in_(select(film.c.id).where(film.c.study_id == row.study_id))
            last = _claim(connection, of_study, job_event.c.id < claim_id)
            return None if last is None else (Step.READ, last.id)
        case Step.DELIVER:
            created = connection.execute(
                select(func.min(job_event.c.id)).where(job_event.c.job_id == row.job_id)
            ).scalar_one()
            last = _claim(connection, of_study, job.c.stage == Stage.COMPOSE, job_event.c.id < created)
            return None if last is None else (Step.COMPOSE, last.id)
        case _:
            accepted = _acceptance_before(connection, row, claim_id)
            last = _claim(connection, job_event.c.job_id == row.job_id, job_event.c.id < accepted)
            return None if last is None else (Step.DELIVER, last.id)


def _claim(connection: Connection, *conditions: ColumnElement[bool]) -> _Claimed | None:
    """Return the last claim under these conditions."""
    row = connection.execute(
        select(job_event.c.id, job_event.c.at)
        .join(job, job.c.id == job_event.c.job_id)
        .where(job_event.c.event == Event.CLAIMED, *conditions)
        .order_by(job_event.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _Claimed(*row)
