"""Unified Procedure Steps that this node has claimed: rows, and the only place that changes their states."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.procedure_step_tables import procedure_step
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.procedure_step import OPEN, TRANSITIONS, ClaimState


class ForbiddenStepTransition(Exception):
    """The state of a step does not allow the change, or another process has changed it first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureStep:
    """A step, as it was last recorded; `claimed_at` is None until the manager has granted the claim."""

    step_id: int
    worklist: str
    sop_instance_uid: Uid
    transaction_uid: Uid
    state: ClaimState
    films: int
    held_films: int
    progress: int
    reason: str | None
    detail: str
    claimed_at: datetime | None


def open_steps(connection: Connection, worklist: str) -> list[ProcedureStep]:
    """Return the steps of a worklist that have not ended, the oldest first."""
    rows = connection.execute(
        select(procedure_step)
        .where(procedure_step.c.worklist == worklist, procedure_step.c.ended_at.is_(None))
        .order_by(procedure_step.c.id)
    )
    return [_step(row) for row in rows.mappings()]


def open_worklists(connection: Connection, *, claimed_before: datetime | None = None) -> dict[str, int]:
    """Return the number of steps that have not ended, by worklist: all, or those that were claimed before a time."""
    counts = (
        select(procedure_step.c.worklist, func.count().label("steps"))
        .where(procedure_step.c.ended_at.is_(None))
        .group_by(procedure_step.c.worklist)
    )
    if claimed_before is not None:
        counts = counts.where(procedure_step.c.claimed_at < claimed_before)
    return {row.worklist: row.steps for row in connection.execute(counts)}


def count_by_state(connection: Connection, *, since: datetime) -> dict[tuple[str, str], int]:
    """Return the number of steps by worklist and state: those that are open, and those that ended since a time."""
    counts = (
        select(procedure_step.c.worklist, procedure_step.c.state, func.count())
        .where(procedure_step.c.ended_at.is_(None) | (procedure_step.c.ended_at >= since))
        .group_by(procedure_step.c.worklist, procedure_step.c.state)
    )
    return {(worklist, state): count for worklist, state, count in connection.execute(counts)}


def request(
    transaction: Transaction,
    worklist: str,
    sop_instance_uid: Uid,
    *,
    transaction_uid: Uid,
    not_after: datetime,
    now: datetime,
) -> ProcedureStep | None:
    """Record that a step is to be claimed, with the Transaction UID of the claim; commit it before the request.

    Return None for a step that is claimed or has ended here. One that was refused or lost up to `not_after` may be
    claimed again.
    """
    connection = transaction.connection
    is_step = procedure_step.c.worklist == worklist, procedure_step.c.sop_instance_uid == sop_instance_uid
    known = connection.execute(select(procedure_step).where(*is_step)).mappings().first()
    values = {
        "transaction_uid": transaction_uid,
        "state": ClaimState.CLAIMING,
        "study_instance_uid": "",
        "films": 0,
        "held_films": 0,
        "progress": 0,
        "reason": None,
        "detail": "",
        "requested_at": now,
        "claimed_at": None,
        "ended_at": None,
    }
    if known is None:
        identity = {"worklist": worklist, "sop_instance_uid": sop_instance_uid}
        connection.execute(insert(procedure_step).values(**identity, **values))
    elif ClaimState.CLAIMING in TRANSITIONS[ClaimState(known["state"])] and _ended_by(known, not_after):
        is_unchanged = procedure_step.c.id == known["id"], procedure_step.c.state == known["state"]
        connection.execute(update(procedure_step).where(*is_unchanged).values(values))
    else:
        return None
    return _step(connection.execute(select(procedure_step).where(*is_step)).mappings().one())


def _ended_by(row: RowMapping, not_after: datetime) -> bool:
    return row["ended_at"] is not None and row["ended_at"] <= not_after


def change(
    transaction: Transaction,
    step: ProcedureStep,
    state: ClaimState,
    *,
    now: datetime,
    detail: str = "",
    reason: str | None = None,
) -> ProcedureStep:
    """Change the state of a step; the detail names no patient. Return the step.

    Raises
    ------
    ForbiddenStepTransition
        If the recorded state allows no such change, or is not that of `step` any more.
    """
    if state not in TRANSITIONS[step.state]:
        raise ForbiddenStepTransition(f"a step that is {step.state} cannot become {state}")
    values: dict[str, object] = {"state": state, "detail": detail, "reason": reason}
    if state is ClaimState.IN_PROGRESS:
        values["claimed_at"] = step.claimed_at or now
    if state not in OPEN:
        values["ended_at"] = now
    is_unchanged = procedure_step.c.id == step.step_id, procedure_step.c.state == step.state
    if not transaction.connection.execute(update(procedure_step).where(*is_unchanged).values(values)).rowcount:
        raise ForbiddenStepTransition(f"step {step.step_id} is not {step.state} any more")
    return get(transaction.connection, step.step_id)


def note(
    transaction: Transaction,
    step: ProcedureStep,
    *,
    study_instance_uid: str,
    films: int,
    held_films: int,
    progress: int,
    detail: str,
) -> ProcedureStep:
    """Record what is known of a step, and the progress that was last sent. Return the step."""
    values = {"study_instance_uid": study_instance_uid, "films": films, "held_films": held_films}
    transaction.connection.execute(
        update(procedure_step)
        .where(procedure_step.c.id == step.step_id)
        .values(**values, progress=progress, detail=detail)
    )
    return get(transaction.connection, step.step_id)


def note_detail(transaction: Transaction, step: ProcedureStep, detail: str) -> None:
    """Record why a step stays in its state."""
    transaction.connection.execute(
        update(procedure_step).where(procedure_step.c.id == step.step_id).values(detail=detail)
    )


def get(connection: Connection, step_id: int) -> ProcedureStep:
    """Return a step by the number of its row."""
    return _step(connection.execute(select(procedure_step).where(procedure_step.c.id == step_id)).mappings().one())


def _step(row: RowMapping) -> ProcedureStep:
    return ProcedureStep(
        step_id=row["id"],
        worklist=row["worklist"],
        sop_instance_uid=Uid(row["sop_instance_uid"]),
        transaction_uid=Uid(row["transaction_uid"]),
        state=ClaimState(row["state"]),
        films=row["films"],
        held_films=row["held_films"],
        progress=row["progress"],
        reason=row["reason"],
        detail=row["detail"],
        claimed_at=row["claimed_at"],
    )
