"""What became of each attempt at a job, in the order in which they ended: for those who draw the way of a film."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from cxr_node.db.states import Event, Stage
from cxr_node.db.tables import delivery, film, job, job_event, result, study
from cxr_node.domain.identifiers import Uid

ENDINGS = (Event.FINISHED, Event.SET_ASIDE, Event.RETRY, Event.GAVE_UP, Event.LEASE_LOST, Event.RELEASED)


class Step(StrEnum):
    """A step on the way of a film."""

    ACCEPT = "accept"
    READ = "read"
    COMPOSE = "compose"
    DELIVER = "deliver"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a step of a study's way: when it began and ended, and how.

    `mark` is a number that no other attempt at this step of the study has, and `after` that of the step before, with
    its kind; None where nothing came before. `outcome` is an event of the job; for a film that was kept, "created".
    """

    step: Step
    study_instance_uid: Uid
    mark: int
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


def _taken(connection: Connection, row: Row[tuple[object, ...]], claim_id: int) -> int | None:
    """Return the event before a claim by which the destination had taken the result; None where it had not."""
    of_job = (job_event.c.job_id == row.job_id, job_event.c.id < claim_id, job_event.c.event == Event.RETRY)
    return connection.execute(
        select(func.min(job_event.c.id)).where(*of_job, job_event.c.at == row.delivered_at)
    ).scalar()


class _Claimed(NamedTuple):
    id: int
    at: datetime


def last_event(connection: Connection) -> int:
    """Return the number of the newest event; 0 where there is none."""
    return connection.execute(select(func.max(job_event.c.id))).scalar() or 0


def after(connection: Connection, event_id: int, *, before: datetime, limit: int) -> tuple[list[Attempt], int]:
    """Return attempts that ended after an event and before a time, and the last event that was looked at.

    An event is written with its number before it is committed: `before` leaves those alone that others may yet precede.
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
    found: list[Attempt] = []
    for row in rows:
        if row.at >= before:
            break
        event_id = row.id
        attempt = _attempt(connection, row)
        if attempt is not None:
            found.append(attempt)
    return found, event_id


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
    """Return the attempt that an event ended; None for events that end none, and for answers, which are of no film."""
    event, stage = Event(row.event), Stage(row.stage)
    if row.study_id is None:
        return None
    if event is Event.CREATED and stage is Stage.READ:
        return _made(
            connection,
            row,
            Step.ACCEPT,
            mark=row.film_id,
            after=_first(connection, row),
            began_at=_opened(connection, row),
        )
    if event not in ENDINGS:
        return None
    claim = _claim(connection, job_event.c.job_id == row.job_id, job_event.c.id < row.id)
    if claim is None:  # set aside, and nobody had taken it
        return None
    step = Step(stage.value)
    if step is Step.DELIVER and _taken(connection, row, claim.id) is not None:
        step = Step.CONFIRM
    return _made(
        connection, row, step, mark=claim.id, after=_before(connection, row, step, claim.id), began_at=claim.at
    )


def _made(
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
        mark=mark,
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


def _first(connection: Connection, row: Row[tuple[object, ...]]) -> tuple[Step, int] | None:
    """Return what the acceptance of a film comes after: that of its study's first film, unless it is that."""
    first = connection.execute(select(func.min(film.c.id)).where(film.c.study_id == row.study_id)).scalar_one()
    return None if first == row.film_id else (Step.ACCEPT, first)


def _opened(connection: Connection, row: Row[tuple[object, ...]]) -> datetime:
    """Return when the acceptance of a film began: with its association, or when the film before it on that was kept."""
    before = connection.execute(
        select(func.max(film.c.received_at)).where(
            film.c.study_id == row.study_id, film.c.association == row.association, film.c.id < row.film_id
        )
    ).scalar()
    at: datetime = before or _time_of(row.association) or row.received_at
    return at


def _time_of(association: str) -> datetime | None:
    """Return when an association was opened, by its name; None where it does not say."""
    try:
        return datetime.strptime(association.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _before(connection: Connection, row: Row[tuple[object, ...]], step: Step, claim_id: int) -> tuple[Step, int] | None:
    """Return the attempt that led to another."""
    of_study = job.c.study_id == row.study_id
    match step:
        case Step.READ:
            return Step.ACCEPT, row.film_id
        case Step.COMPOSE:
            of_study = job.c.film_id.in_(select(film.c.id).where(film.c.study_id == row.study_id))
            last = _claim(connection, of_study, job_event.c.id < claim_id)
            return None if last is None else (Step.READ, last.id)
        case Step.DELIVER:
            made = connection.execute(
                select(func.min(job_event.c.id)).where(job_event.c.job_id == row.job_id)
            ).scalar_one()
            last = _claim(connection, of_study, job.c.stage == Stage.COMPOSE, job_event.c.id < made)
            return None if last is None else (Step.COMPOSE, last.id)
        case _:
            taken = _taken(connection, row, claim_id)
            last = _claim(connection, job_event.c.job_id == row.job_id, job_event.c.id < taken)
            return None if last is None else (Step.DELIVER, last.id)


def _claim(connection: Connection, *which: ColumnElement[bool]) -> _Claimed | None:
    """Return the last claim of which this holds."""
    row = connection.execute(
        select(job_event.c.id, job_event.c.at)
        .join(job, job.c.id == job_event.c.job_id)
        .where(job_event.c.event == Event.CLAIMED, *which)
        .order_by(job_event.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _Claimed(*row)
