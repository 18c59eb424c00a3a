"""Claims: due jobs given to one worker until the lease expires, by one statement."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, update
from sqlalchemy.sql.dml import ReturningUpdate

from cxr_node.db.claim_order import claim_key
from cxr_node.db.database import Transaction
from cxr_node.db.states import Event, Stage, State, after
from cxr_node.db.tables import SUBJECTS, job
from cxr_node.queue import events
from cxr_node.queue.claimable import claimable, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that a worker holds until `lease_until`.

    `subject_id` is of a film, study, delivery or commitment request, as the stage has it. `attempts` includes this
    one; `crashes` are attempts that ended with the death of the worker.
    """

    job_id: int
    stage: Stage
    subject_id: int
    attempts: int
    crashes: int
    queued_at: datetime
    lease_owner: str
    lease_until: datetime


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
    """Claim up to `limit` due jobs of `stage` in claim order.

    Left out are deliveries to `blocked_destinations`, and deliveries whose study has an earlier result on its way to
    the same destination. A job whose earlier attempt crashed a worker is claimed alone, so that another crash cannot
    count against jobs of the same batch.
    """
    is_blocked = bool(blocked_destinations)
    due = {"now": now, **parameters(blocked_destinations)}
    is_batch = (
        limit > 1 and not transaction.connection.execute(_first_crashes(stage, is_blocked=is_blocked), due).scalar()
    )
    rows = transaction.connection.execute(
        _claim_statement(stage, is_blocked=is_blocked, is_batch=is_batch),
        due | {"limit": limit if is_batch else 1, "owner": owner, "until": now + lease},
    ).all()
    claims = [
        Claim(
            job_id=row.id,
            stage=stage,
            subject_id=row.subject_id,
            attempts=row.attempts,
            crashes=row.crashes,
            queued_at=row.queued_at,
            lease_owner=owner,
            lease_until=now + lease,
        )
        for row in sorted(rows, key=lambda row: (claim_key(row.due_at, row.priority), row.id))
    ]
    job_ids = [claim.job_id for claim in claims]
    events.record(transaction, job_ids, Event.CLAIMED, State.RUNNING, now=now, actor=owner)
    return claims


@cache
def _first_crashes(stage: Stage, *, is_blocked: bool) -> Select[tuple[int]]:
    """Select the crashes of the first job in claim order."""
    return claimable(stage, is_blocked=is_blocked).with_only_columns(job.c.crashes).limit(1)


@cache
def _claim_statement(stage: Stage, *, is_blocked: bool, is_batch: bool) -> ReturningUpdate[Any]:
    due = claimable(stage, is_blocked=is_blocked)
    if is_batch:
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
            job.c[SUBJECTS[stage]].label("subject_id"),
            job.c.attempts,
            job.c.crashes,
            job.c.queued_at,
            job.c.due_at,
            job.c.priority,
        )
    )
