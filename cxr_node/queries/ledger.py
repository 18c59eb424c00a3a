"""The ledger: every film received is delivered, on the way, or set aside with a reason. Nothing else can be."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, Select, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, film, job, result, study


class Fate(StrEnum):
    """Where a received film stands."""

    DELIVERED = "delivered"
    ON_THE_WAY = "on_the_way"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One received film, where it stands, and why if it was set aside; `removed_at` if its bytes are no longer kept."""

    film_id: int
    sop_instance_uid: str
    study_instance_uid: str
    calling_ae_title: str
    address: str
    association: str
    received_at: datetime
    removed_at: datetime | None
    archive_key: str
    fate: Fate
    reason: str


def entries(
    connection: Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    calling_ae_title: str | None = None,
    address: str | None = None,
    association: str | None = None,
) -> list[LedgerEntry]:
    """Return the films received from `since` on and before `until`, oldest first.

    Of one sender, address or association, where it is named.
    """
    query = _films()
    if since is not None:
        query = query.where(film.c.received_at >= since)
    if until is not None:
        query = query.where(film.c.received_at < until)
    named = ((film.c.calling_ae_title, calling_ae_title), (film.c.address, address), (film.c.association, association))
    for column, value in named:
        if value is not None:
            query = query.where(column == value)
    return [_entry(columns) for columns in connection.execute(query.order_by(film.c.id)).mappings()]


def tally(films: Iterable[LedgerEntry]) -> dict[Fate, int]:
    """Return how many films stand where; the numbers add up to the films received."""
    counts = dict.fromkeys(Fate, 0)
    for each in films:
        counts[each.fate] += 1
    return counts


def archive_keys(connection: Connection) -> set[str]:
    """Return every key that a film's or a result's row names, but for those whose bytes were removed."""
    return {
        key
        for table in (film, result)
        for key in connection.execute(select(table.c.archive_key).where(table.c.removed_at.is_(None))).scalars()
    }


def _films() -> Select[tuple[object, ...]]:
    read = job.alias("read")
    return (
        select(
            film,
            study.c.study_instance_uid,
            read.c.reason,
            read.c.state,
            _study_job(Stage.COMPOSE, State.FAILED).label("compose_failed"),
            _delivery_job(State.FAILED).label("delivery_failed"),
            (
                _study_job(Stage.COMPOSE, State.WAITING, State.RUNNING)
                | _delivery_job(State.WAITING, State.RUNNING)
                | read.c.state.in_((State.WAITING, State.RUNNING))
                | ~_answered()
            ).label("pending"),
        )
        .join(study, film.c.study_id == study.c.id)
        .join(read, read.c.film_id == film.c.id)
    )


def _study_job(stage: Stage, *states: State) -> ColumnElement[bool]:
    """Whether the newest job of a stage of the film's study is in one of `states`."""
    newest = (
        select(func.max(job.c.id))
        .where(job.c.stage == stage, job.c.study_id == film.c.study_id)
        .correlate(film)
        .scalar_subquery()
    )
    return exists().where(job.c.id == newest, job.c.state.in_(states)).correlate(film)


def _delivery_job(*states: State) -> ColumnElement[bool]:
    """Whether a delivery of a result of the film's study is in one of `states`."""
    return (
        exists()
        .where(
            result.c.study_id == film.c.study_id,
            delivery.c.result_id == result.c.id,
            job.c.delivery_id == delivery.c.id,
            job.c.state.in_(states),
        )
        .correlate(film)
    )


def _answered() -> ColumnElement[bool]:
    """Whether the study's newest composition has ended, and left a result.

    A reading is written and its study's composition queued in one transaction: the newest is never older than the
    newest reading, whatever the clock said at either.
    """
    composed = _study_job(Stage.COMPOSE, State.DONE)
    return composed & exists().where(result.c.study_id == film.c.study_id).correlate(film)


def _entry(columns: RowMapping) -> LedgerEntry:
    fate, reason = _fate(columns)
    return LedgerEntry(
        film_id=columns["id"],
        sop_instance_uid=columns["sop_instance_uid"],
        study_instance_uid=columns["study_instance_uid"],
        calling_ae_title=columns["calling_ae_title"],
        address=columns["address"],
        association=columns["association"],
        received_at=columns["received_at"],
        removed_at=columns["removed_at"],
        archive_key=columns["archive_key"],
        fate=fate,
        reason=reason,
    )


def _fate(columns: RowMapping) -> tuple[Fate, str]:
    if not columns["is_original"]:
        return Fate.SET_ASIDE, columns["reason"]
    if columns["state"] == State.FAILED:
        return Fate.SET_ASIDE, columns["reason"] or "reading failed"
    if columns["compose_failed"]:
        return Fate.SET_ASIDE, "composing failed"
    if columns["delivery_failed"]:
        return Fate.SET_ASIDE, "delivery failed"
    return (Fate.ON_THE_WAY, "") if columns["pending"] else (Fate.DELIVERED, "")
