"""Job queue: the only writer of job states. Each change writes a job event in the same transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func, insert, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from cxr_node.db.database import Transaction
from cxr_node.db.priority import BACKGROUND_BOOST_S, NO_PRIORITY_BOOST
from cxr_node.db.states import ENDED, Event, ForbiddenTransition, Stage, State, after
from cxr_node.db.tables import SUBJECTS, delivery, job, study
from cxr_node.queue import events
from cxr_node.queue.claimable import IS_RUNNING, IS_WAITING
from cxr_node.queue.claiming import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to add, due `at` once; `of_study` is the study of its subject, if it has one."""

    subject_id: int
    of_study: int | None
    priority_boost_s: int
    at: datetime


def add(
    transaction: Transaction, stage: Stage, subject_id: int, *, of_study: int | None, due_at: datetime, now: datetime
) -> int:
    """Add a job of `stage` for a film, study, delivery or commitment request, due at `due_at`; return its id.

    The job has the priority boost of its study.
    """
    if of_study is not None:
        (job_id,) = add_of_study(transaction, stage, [subject_id], of_study, due_at=due_at, now=now)
        return job_id
    new = NewJob(subject_id=subject_id, of_study=None, priority_boost_s=NO_PRIORITY_BOOST, at=now)
    (job_id,) = _add(transaction, stage, [_row(stage, new) | {"due_at": due_at}])
    return job_id


def add_of_study(
    transaction: Transaction,
    stage: Stage,
    subject_ids: Sequence[int],
    study_id: int,
    *,
    due_at: datetime,
    now: datetime,
) -> list[int]:
    """Add jobs of `stage` for subjects of one study, with its priority boost; return their ids in order."""
    boost_s = transaction.connection.execute(_STUDY_PRIORITY, {"study_id": study_id}).scalar_one()
    new = [
        NewJob(subject_id=subject_id, of_study=study_id, priority_boost_s=boost_s, at=now) for subject_id in subject_ids
    ]
    return _add(transaction, stage, [_row(stage, job) | {"due_at": due_at} for job in new])


def add_all(transaction: Transaction, stage: Stage, new: Sequence[NewJob]) -> list[int]:
    """Add several jobs of `stage`; return their ids in order.

    The caller holds row locks on their studies until the commit, so that the priority boosts stay true.
    """
    return _add(transaction, stage, [_row(stage, job) for job in new])


def _row(stage: Stage, new: NewJob) -> dict[str, object]:
    return {
        "stage": stage,
        "state": State.WAITING,
        "priority": new.priority_boost_s,
        "attempts": 0,
        "crashes": 0,
        "due_at": new.at,
        "detail": "",
        "created_at": new.at,
        "queued_at": new.at,
        "of_study_id": new.of_study,
        SUBJECTS[stage]: new.subject_id,
    }


def _add(transaction: Transaction, stage: Stage, rows: Sequence[Mapping[str, object]]) -> list[int]:
    job_ids = list(transaction.connection.execute(_INSERT_JOBS, rows).scalars())
    created = [
        events.row(job_id, Event.CREATED, State.WAITING, now=row["created_at"])
        for job_id, row in zip(job_ids, rows, strict=True)
    ]
    transaction.connection.execute(events.INSERT_EVENTS, created)
    transaction.notify.add(stage)
    return job_ids


def add_compose(transaction: Transaction, study_id: int, *, due_at: datetime, now: datetime) -> None:
    """Add a compose job of a study, or postpone the waiting one to `due_at`.

    Concurrent readers on PostgreSQL can add two, which is harmless: the second finds its result composed already.
    """
    postponed = transaction.connection.execute(_POSTPONE_COMPOSE, {"of_study": study_id, "to_due_at": due_at})
    if postponed.first() is None:
        add(transaction, Stage.COMPOSE, study_id, of_study=study_id, due_at=due_at, now=now)
    transaction.notify.add(Stage.COMPOSE)


def boost_study(transaction: Transaction, study_id: int, priority_boost_s: int) -> None:
    """Raise the priority boost of a study and of its present and future jobs; a larger boost stays.

    The row of the study is locked before those of its jobs, as where jobs are added; another order could deadlock.
    """
    raised = transaction.connection.execute(
        update(study)
        .where(study.c.id == study_id, study.c.priority < priority_boost_s)
        .values(priority=priority_boost_s)
        .returning(study.c.id)
    )
    if raised.first() is None:
        return
    transaction.connection.execute(
        update(job)
        .where(job.c.of_study_id == study_id, job.c.priority < priority_boost_s)
        .values(priority=priority_boost_s)
    )


def finish(transaction: Transaction, claim: Claim, *, now: datetime, detail: str = "") -> None:
    """End a claimed job as done."""
    _end(transaction, claim, Event.FINISHED, now=now, reason=None, detail=detail)


def finish_not_analysed(transaction: Transaction, claim: Claim, *, reason: str, detail: str, now: datetime) -> None:
    """End a claimed read job as not analysed."""
    _end(transaction, claim, Event.NOT_ANALYSED, now=now, reason=reason, detail=detail)


def give_up(transaction: Transaction, claim: Claim, *, reason: str | None, detail: str, now: datetime) -> None:
    """End a claimed job as failed: another attempt cannot succeed."""
    _end(transaction, claim, Event.GAVE_UP, now=now, reason=reason, detail=detail)


def retry(
    transaction: Transaction, claim: Claim, *, due_at: datetime, detail: str, has_crashed: bool = False, now: datetime
) -> None:
    """Return a claimed job to the queue, due at `due_at`; it `has_crashed` if a process that ran it died."""
    columns = {"due_at": due_at, "crashes": claim.crashes + has_crashed, "ended_at": None}
    _end_claim(transaction, claim, Event.RETRY, now=now, detail=detail, **columns)
    transaction.notify.add(claim.stage)


def release_unattempted(
    transaction: Transaction, claim: Claim, *, due_at: datetime, detail: str, now: datetime
) -> None:
    """Return a claimed job to the queue without counting the attempt."""
    columns = {"due_at": due_at, "attempts": claim.attempts - 1, "ended_at": None}
    _end_claim(transaction, claim, Event.RETRY, now=now, detail=detail, **columns)


def has_waiting(transaction: Transaction, stage: Stage, subject_id: int) -> bool:
    """Whether a subject has a waiting job of `stage`."""
    waiting = select(job.c.id).where(job.c.stage == stage, job.c[SUBJECTS[stage]] == subject_id, IS_WAITING).limit(1)
    return transaction.connection.execute(waiting).first() is not None


def make_due(transaction: Transaction, stage: Stage, subject_id: int, *, now: datetime) -> None:
    """Make the waiting job of a subject due now."""
    of_subject = (job.c.stage == stage, job.c[SUBJECTS[stage]] == subject_id, IS_WAITING)
    transaction.connection.execute(update(job).where(*of_subject).values(due_at=now))
    transaction.notify.add(stage)


def make_deliveries_due(transaction: Transaction, destination: str, *, now: datetime) -> None:
    """Make waiting deliveries to a destination due now."""
    undelivered = select(delivery.c.id).where(delivery.c.destination == destination, delivery.c.delivered_at.is_(None))
    transaction.connection.execute(
        update(job)
        .where(job.c.stage == Stage.DELIVER, IS_WAITING, job.c.delivery_id.in_(undelivered))
        .values(due_at=now)
    )
    transaction.notify.add(Stage.DELIVER)


def restart_waiting(transaction: Transaction, stage: Stage, *, destination: str, now: datetime) -> int:
    """Make the waiting jobs of a stage due now, as if they were just queued: their time to give up begins again.

    Of deliveries, those to `destination`. Returns their number.
    """
    of_stage = [job.c.stage == stage, IS_WAITING]
    if stage is Stage.DELIVER:
        of_stage.append(job.c.delivery_id.in_(select(delivery.c.id).where(delivery.c.destination == destination)))
    waiting = update(job).where(*of_stage).values(due_at=now, queued_at=now).returning(job.c.id)
    transaction.notify.add(stage)
    return len(transaction.connection.execute(waiting).all())


def expire_leases(transaction: Transaction, *, now: datetime, owner: str | None = None) -> int:
    """Return the jobs of `owner`, or those whose lease has expired, to the queue as crashed; return their number."""
    is_lost = job.c.lease_until < now if owner is None else job.c.lease_owner == owner
    return _return_to_queue(transaction, is_lost, Event.LEASE_LOST, now=now, crashes=1)


def clamp_future_dates(
    transaction: Transaction, *, now: datetime, due_within: timedelta, leased_within: timedelta
) -> int:
    """Clamp due times and leases that lie further ahead than any can, after the clock was set back.

    Such jobs are due now and such leases are lost; return their number. It does not count as a crash, because the
    worker may be alive.
    """
    due = transaction.connection.execute(
        update(job).where(IS_WAITING, job.c.due_at > now + due_within).values(due_at=now).returning(job.c.stage)
    ).all()
    transaction.notify.update(Stage(stage) for (stage,) in due)
    return len(due) + _return_to_queue(
        transaction, job.c.lease_until > now + leased_within, Event.RELEASED, now=now, crashes=0
    )


def release(transaction: Transaction, *, owner_prefix: str, now: datetime) -> int:
    """Return the jobs of all workers of a stopped node, by prefix of the lease owner; return their number."""
    is_held = job.c.lease_owner.startswith(owner_prefix, autoescape=True)
    return _return_to_queue(transaction, is_held, Event.RELEASED, now=now, crashes=0)


def requeue(
    transaction: Transaction, job_ids: Iterable[int], *, actor: str, now: datetime, is_background: bool = False
) -> list[int]:
    """Queue ended jobs again with no attempts; return the ids of those that had ended.

    In the background they are claimed after all other work; else with the priority that they had, or their study has.
    """
    of_study = select(study.c.priority).where(study.c.id == job.c.of_study_id).correlate(job).scalar_subquery()
    own = case((job.c.priority < NO_PRIORITY_BOOST, func.coalesce(of_study, NO_PRIORITY_BOOST)), else_=job.c.priority)
    columns = {"state": State.WAITING, "attempts": 0, "crashes": 0, "due_at": now, "queued_at": now}
    rows = transaction.connection.execute(
        update(job)
        .where(job.c.id.in_(list(job_ids)), job.c.state.in_(ENDED))
        .values(
            **columns,
            priority=BACKGROUND_BOOST_S if is_background else own,
            reason=None,
            detail="",
            ended_at=None,
            first_ended_at=func.coalesce(job.c.first_ended_at, job.c.ended_at),
        )
        .returning(job.c.id, job.c.stage)
    ).all()
    moved = [job_id for job_id, _ in rows]
    events.record(transaction, moved, Event.REQUEUED, State.WAITING, now=now, actor=actor)
    transaction.notify.update(Stage(stage) for _, stage in rows)
    return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """A job that a person has dismissed; `subject_id` is of a film, study, delivery or commitment request."""

    job_id: int
    stage: Stage
    subject_id: int


def dismiss(
    transaction: Transaction, job_ids: Iterable[int], *, reason: str | None, detail: str, actor: str, now: datetime
) -> list[Dismissed]:
    """End jobs in whatever state, because a person says so; return those that were not dismissed yet."""
    subject = func.coalesce(*(job.c[column] for column in SUBJECTS.values()))
    columns = {"lease_owner": None, "lease_until": None, "reason": reason, "detail": detail, "ended_at": now}
    rows = transaction.connection.execute(
        update(job)
        .where(job.c.id.in_(list(job_ids)), job.c.state != State.DISMISSED)
        .values(state=State.DISMISSED, **columns)
        .returning(job.c.id, job.c.stage, subject)
    ).all()
    dismissed = [Dismissed(job_id=job_id, stage=Stage(stage), subject_id=subject) for job_id, stage, subject in rows]
    ids = [one.job_id for one in dismissed]
    events.record(transaction, ids, Event.DISMISSED, State.DISMISSED, now=now, actor=actor, detail=detail)
    transaction.notify.update(one.stage for one in dismissed)  # a later delivery of the study may be claimable now
    return dismissed


def _end(
    transaction: Transaction, claim: Claim, event: Event, *, now: datetime, reason: str | None, detail: str
) -> None:
    _end_claim(transaction, claim, event, now=now, detail=detail, reason=reason, ended_at=now)
    if claim.stage is Stage.DELIVER:  # a later delivery of the study may be claimable now
        transaction.notify.add(Stage.DELIVER)


def _end_claim(
    transaction: Transaction, claim: Claim, event: Event, *, now: datetime, detail: str, **columns: object
) -> None:
    state = after(State.RUNNING, event)
    _move(transaction, claim, state, detail=detail, lease_owner=None, lease_until=None, **columns)
    events.record(transaction, [claim.job_id], event, state, now=now, actor=claim.lease_owner, detail=detail)


def _move(transaction: Transaction, claim: Claim, state: State, **columns: object) -> None:
    """Change the state of a claimed job, unless its lease was lost."""
    moved = transaction.connection.execute(
        _move_statement(tuple(columns)),
        {
            "of_job": claim.job_id,
            "of_owner": claim.lease_owner,
            "of_attempts": claim.attempts,
            "to_state": state,
            **{f"to_{name}": value for name, value in columns.items()},
        },
    )
    if moved.first() is None:
        raise ForbiddenTransition(f"job {claim.job_id} is no longer held by {claim.lease_owner}")


@cache
def _move_statement(names: tuple[str, ...]) -> ReturningUpdate[Any]:
    return (
        update(job)
        .where(
            job.c.id == bindparam("of_job"),
            IS_RUNNING,
            job.c.lease_owner == bindparam("of_owner"),
            job.c.attempts == bindparam("of_attempts"),
        )
        .values({name: bindparam(f"to_{name}") for name in ("state", *names)})
        .returning(job.c.id)
    )


def _return_to_queue(
    transaction: Transaction, condition: ColumnElement[bool], event: Event, *, now: datetime, crashes: int
) -> int:
    state = after(State.RUNNING, event)
    rows = transaction.connection.execute(
        update(job)
        .where(IS_RUNNING, condition)
        .values(state=state, due_at=now, lease_owner=None, lease_until=None, crashes=job.c.crashes + crashes)
        .returning(job.c.id, job.c.stage)
    ).all()
    events.record(transaction, [job_id for job_id, _ in rows], event, state, now=now)
    transaction.notify.update(Stage(stage) for _, stage in rows)
    return len(rows)


# Built once, as in `claimable`.
_POSTPONE_COMPOSE = (
    update(job)
    .where(job.c.stage == Stage.COMPOSE, job.c.study_id == bindparam("of_study"), IS_WAITING)
    .values(due_at=bindparam("to_due_at"))
    .returning(job.c.id)
)
_INSERT_JOBS = insert(job).returning(job.c.id, sort_by_parameter_order=True)
# Locked until the commit, so that a concurrent `boost_study` finds the new job.
_STUDY_PRIORITY = select(study.c.priority).where(study.c.id == bindparam("study_id")).with_for_update(read=True)
