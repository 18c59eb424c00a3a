"""The queue: claims with a lease, and the one place that moves a job from state to state."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, insert, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from cxr_node.db.claim_order import NO_PRIORITY_BOOST, claim_key
from cxr_node.db.database import Transaction
from cxr_node.db.states import ENDED, Event, ForbiddenTransition, Stage, State, after
from cxr_node.db.tables import SUBJECTS, delivery, job, job_event, study
from cxr_node.queue.claimable import IS_RUNNING, IS_WAITING, claimable, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job in a worker's hands until `lease_until`. `subject_id` is a film, study, delivery or
    commitment, as the stage says.

    `attempts` counts this one; `crashes` counts those that ended with a worker's death.
    """

    job_id: int
    stage: Stage
    subject_id: int
    attempts: int
    crashes: int
    queued_at: datetime
    lease_owner: str
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be: of what, `of_study` if it is of one, and by how much it goes first; it is due `at` once."""

    subject_id: int
    of_study: int | None
    priority_boost_s: int
    at: datetime


def add(
    transaction: Transaction, stage: Stage, subject_id: int, *, of_study: int | None, due_at: datetime, now: datetime
) -> int:
    """Queue `stage` for its film, study, delivery or commitment, to be claimed from `due_at` on; return the job's id.

    A job has the head start of the study that it is of.
    """
    priority_boost_s = NO_PRIORITY_BOOST
    if of_study is not None:
        priority_boost_s = transaction.connection.execute(_STUDYS_HEAD_START, {"of": of_study}).scalar_one()
    new = NewJob(subject_id=subject_id, of_study=of_study, priority_boost_s=priority_boost_s, at=now)
    (job_id,) = _add(transaction, stage, [_row(stage, new) | {"due_at": due_at}])
    return job_id


def add_all(transaction: Transaction, stage: Stage, new: Sequence[NewJob]) -> list[int]:
    """Queue `stage` for several at once; return the jobs' ids, in order.

    Whoever calls it holds the rows of their studies, from which the head starts are, until the commit.
    """
    return _add(transaction, stage, [_row(stage, each) for each in new])


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
    job_ids = list(transaction.connection.execute(_ADDING, rows).scalars())
    created = [
        _event(job_id, Event.CREATED, State.WAITING, now=row["created_at"])
        for job_id, row in zip(job_ids, rows, strict=True)
    ]
    transaction.connection.execute(_RECORDING, created)
    transaction.notify.add(stage)
    return job_ids


def add_compose(transaction: Transaction, study_id: int, *, due_at: datetime, now: datetime) -> None:
    """Queue the composition of a study, or put off the one that is waiting: the study is not quiet yet.

    Two waiting ones, which concurrent readers on PostgreSQL can make, are harmless: the second finds
    its result already there.
    """
    waiting = (job.c.stage == Stage.COMPOSE, job.c.study_id == study_id, IS_WAITING)
    put_off = transaction.connection.execute(update(job).where(*waiting).values(due_at=due_at).returning(job.c.id))
    if put_off.first() is None:
        add(transaction, Stage.COMPOSE, study_id, of_study=study_id, due_at=due_at, now=now)
    transaction.notify.add(Stage.COMPOSE)


def boost_study(transaction: Transaction, study_id: int, priority_boost_s: int) -> None:
    """Give all jobs of a study, and those to come, at least this head start. None that is larger is made smaller.

    The study's row comes first here and wherever jobs are added: two who took both in turn would wait for each other.
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


def claim(
    transaction: Transaction,
    stage: Stage,
    *,
    owner: str,
    lease: timedelta,
    now: datetime,
    limit: int = 1,
    blocked_destinations: AbstractSet[str] = frozenset(),
) -> list[Claim]:
    """Take up to `limit` due jobs of `stage`, in the order of their turns, each for as long as `lease` lasts.

    Deliveries to the destinations `held` are not taken, nor one of a study before those composed earlier for the same
    destination have arrived or been given up.
    One during which a worker died is taken alone: what dies with it next time is not to be blamed on others.
    """
    what = {"now": now, **parameters(blocked_destinations)}
    several = limit > 1
    if several:
        first = transaction.connection.execute(_first(stage, some_held=bool(blocked_destinations)), what).scalar()
        several = not first
    rows = transaction.connection.execute(
        _claiming(stage, some_held=bool(blocked_destinations), several=several),
        what | {"limit": limit if several else 1, "owner": owner, "until": now + lease},
    ).all()
    rows = sorted(rows, key=lambda row: (claim_key(row[5], row[6]), row[0]))
    _record(transaction, [row[0] for row in rows], Event.CLAIMED, State.RUNNING, now=now, actor=owner, detail="")
    return [
        Claim(
            job_id=job_id,
            stage=stage,
            subject_id=subject_id,
            attempts=attempts,
            crashes=crashes,
            queued_at=queued_at,
            lease_owner=owner,
            lease_until=now + lease,
        )
        for job_id, subject_id, attempts, crashes, queued_at, _, _ in rows
    ]


@cache
def _first(stage: Stage, *, some_held: bool) -> Select[tuple[int]]:
    """Select of the job whose turn it is how many workers died during it."""
    return claimable(stage, some_held=some_held).with_only_columns(job.c.crashes).limit(1)


@cache
def _claiming(stage: Stage, *, some_held: bool, several: bool) -> ReturningUpdate[Any]:
    due = claimable(stage, some_held=some_held)
    if several:
        due = due.where(job.c.crashes == 0)
    return (
        update(job)
        .where(job.c.id.in_(due.limit(bindparam("limit")).with_for_update(skip_locked=True).scalar_subquery()))
        .values(
            state=after(State.WAITING, Event.CLAIMED),
            attempts=job.c.attempts + 1,
            lease_owner=bindparam("owner"),
            lease_until=bindparam("until"),
        )
        .returning(
            job.c.id,
            job.c[SUBJECTS[stage]],
            job.c.attempts,
            job.c.crashes,
            job.c.queued_at,
            job.c.due_at,
            job.c.priority,
        )
    )


def finish(transaction: Transaction, claim: Claim, *, now: datetime, detail: str = "") -> None:
    """Record that the claimed job is done."""
    _end(transaction, claim, Event.FINISHED, now=now, reason=None, detail=detail)


def set_aside(transaction: Transaction, claim: Claim, *, reason: str, detail: str, now: datetime) -> None:
    """Record that the film of the claimed job is not analysed, and why."""
    _end(transaction, claim, Event.SET_ASIDE, now=now, reason=reason, detail=detail)


def set_aside_unclaimed(transaction: Transaction, job_id: int, *, reason: str, detail: str, now: datetime) -> None:
    """Record that the film of a job that no worker has claimed is not to be analysed, and why."""
    state = after(State.WAITING, Event.SET_ASIDE)
    moved = transaction.connection.execute(
        update(job)
        .where(job.c.id == job_id, IS_WAITING)
        .values(state=state, reason=reason, detail=detail, ended_at=now)
        .returning(job.c.id)
    )
    if moved.first() is None:
        raise ForbiddenTransition(f"job {job_id} is no longer waiting")
    _record(transaction, [job_id], Event.SET_ASIDE, state, now=now, actor="", detail=detail)


def give_up(transaction: Transaction, claim: Claim, *, reason: str | None, detail: str, now: datetime) -> None:
    """Record that trying the claimed job again cannot help: a person must look."""
    _end(transaction, claim, Event.GAVE_UP, now=now, reason=reason, detail=detail)


def retry(transaction: Transaction, claim: Claim, *, due_at: datetime, detail: str, now: datetime) -> None:
    """Put the claimed job back, to be claimed again from `due_at` on."""
    state = after(State.RUNNING, Event.RETRY)
    _move(transaction, claim, state, due_at=due_at, detail=detail, lease_owner=None, lease_until=None, ended_at=None)
    _record(transaction, [claim.job_id], Event.RETRY, state, now=now, actor=claim.lease_owner, detail=detail)
    transaction.notify.add(claim.stage)


def release_unattempted(
    transaction: Transaction, claim: Claim, *, due_at: datetime, detail: str, now: datetime
) -> None:
    """Put the claimed job back untried: it does not count as an attempt."""
    state = after(State.RUNNING, Event.RETRY)
    _move(
        transaction,
        claim,
        state,
        due_at=due_at,
        detail=detail,
        attempts=claim.attempts - 1,
        lease_owner=None,
        lease_until=None,
        ended_at=None,
    )
    _record(transaction, [claim.job_id], Event.RETRY, state, now=now, actor=claim.lease_owner, detail=detail)


def make_due(transaction: Transaction, stage: Stage, subject_id: int, *, now: datetime) -> None:
    """Let a waiting job of a subject be claimed at once: what it waited for is there."""
    of_subject = (job.c.stage == stage, job.c[SUBJECTS[stage]] == subject_id, IS_WAITING)
    transaction.connection.execute(update(job).where(*of_subject).values(due_at=now))
    transaction.notify.add(stage)


def make_deliveries_due(transaction: Transaction, destination: str, *, now: datetime) -> None:
    """Let what waits for a destination that was away be sent at once."""
    undelivered = select(delivery.c.id).where(delivery.c.destination == destination, delivery.c.delivered_at.is_(None))
    transaction.connection.execute(
        update(job)
        .where(job.c.stage == Stage.DELIVER, IS_WAITING, job.c.delivery_id.in_(undelivered))
        .values(due_at=now)
    )
    transaction.notify.add(Stage.DELIVER)


def expire_leases(transaction: Transaction, *, now: datetime, owner: str | None = None) -> int:
    """Put back the jobs of dead workers: those of `owner`, or those whose lease has run out; return how many."""
    dead = job.c.lease_until < now if owner is None else job.c.lease_owner == owner
    return _put_back(transaction, dead, Event.LEASE_LOST, now=now, crashes=1)


def clamp_future_dates(
    transaction: Transaction, *, now: datetime, due_within: timedelta, leased_within: timedelta
) -> int:
    """Put right what a clock that has gone back left: jobs due later, and leases longer, than any can be.

    Such jobs are due now, such leases lost; return how many. A lease may still be in a live worker's hands, so it does
    not count as a death.
    """
    due = transaction.connection.execute(
        update(job).where(IS_WAITING, job.c.due_at > now + due_within).values(due_at=now).returning(job.c.stage)
    ).all()
    transaction.notify.update(Stage(stage) for (stage,) in due)
    return len(due) + _put_back(
        transaction, job.c.lease_until > now + leased_within, Event.RELEASED, now=now, crashes=0
    )


def release(transaction: Transaction, *, owner_prefix: str, now: datetime) -> int:
    """Put back the jobs that workers named `owner_prefix`... held when their whole node stopped; return how many."""
    theirs = job.c.lease_owner.startswith(owner_prefix, autoescape=True)
    return _put_back(transaction, theirs, Event.RELEASED, now=now, crashes=0)


def requeue(transaction: Transaction, job_ids: Iterable[int], *, actor: str, now: datetime) -> list[int]:
    """Let ended jobs run again, their attempts forgotten; return the ids of those that had ended."""
    rows = transaction.connection.execute(
        update(job)
        .where(job.c.id.in_(list(job_ids)), job.c.state.in_(ENDED))
        .values(
            state=State.WAITING,
            attempts=0,
            crashes=0,
            due_at=now,
            queued_at=now,
            reason=None,
            detail="",
            ended_at=None,
        )
        .returning(job.c.id, job.c.stage)
    ).all()
    moved = [job_id for job_id, _ in rows]
    _record(transaction, moved, Event.REQUEUED, State.WAITING, now=now, actor=actor, detail="")
    transaction.notify.update(Stage(stage) for _, stage in rows)
    return moved


def _end(
    transaction: Transaction, claim: Claim, event: Event, *, now: datetime, reason: str | None, detail: str
) -> None:
    state = after(State.RUNNING, event)
    _move(transaction, claim, state, reason=reason, detail=detail, lease_owner=None, lease_until=None, ended_at=now)
    _record(transaction, [claim.job_id], event, state, now=now, actor=claim.lease_owner, detail=detail)
    if claim.stage is Stage.DELIVER:  # another may have waited for it
        transaction.notify.add(Stage.DELIVER)


def _move(transaction: Transaction, claim: Claim, state: State, **columns: object) -> None:
    """Move a claimed job on, unless its lease was lost and another worker holds it now."""
    moved = transaction.connection.execute(
        _moving(tuple(columns)),
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
def _moving(names: tuple[str, ...]) -> ReturningUpdate[Any]:
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


def _put_back(
    transaction: Transaction, whose: ColumnElement[bool], event: Event, *, now: datetime, crashes: int
) -> int:
    state = after(State.RUNNING, event)
    rows = transaction.connection.execute(
        update(job)
        .where(IS_RUNNING, whose)
        .values(state=state, due_at=now, lease_owner=None, lease_until=None, crashes=job.c.crashes + crashes)
        .returning(job.c.id, job.c.stage)
    ).all()
    _record(transaction, [job_id for job_id, _ in rows], event, state, now=now, actor="", detail="")
    transaction.notify.update(Stage(stage) for _, stage in rows)
    return len(rows)


# Made once for all, as in `due`.
_RECORDING = insert(job_event)
_ADDING = insert(job).returning(job.c.id, sort_by_parameter_order=True)
# Held until the commit, so that who makes the study urgent meanwhile finds this job to raise.
_STUDYS_HEAD_START = select(study.c.priority).where(study.c.id == bindparam("of")).with_for_update(read=True)


def _record(
    transaction: Transaction,
    job_ids: Iterable[int],
    event: Event,
    state: State,
    *,
    now: datetime,
    actor: str,
    detail: str,
) -> None:
    rows = [_event(job_id, event, state, now=now, actor=actor, detail=detail) for job_id in job_ids]
    if rows:
        transaction.connection.execute(_RECORDING, rows)


def _event(
    job_id: int, event: Event, state: State, *, now: object, actor: str = "", detail: str = ""
) -> dict[str, object]:
    return {"job_id": job_id, "at": now, "event": event, "state": state, "actor": actor, "detail": detail}
