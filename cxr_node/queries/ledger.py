"""Ledger: every received film is delivered, in progress, or not reported, with a reason."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, Select, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.prior_tables import fetched_film, moved_film
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, film, job, result, study
from cxr_node.domain.reasons import Reason
from cxr_node.records.results import IS_WITHDRAWN


class Fate(StrEnum):
    """Fate of a received film."""

    DELIVERED = "delivered"
    IN_PROGRESS = "in_progress"
    NOT_REPORTED = "not_reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A received film with its fate, the reason if it is not reported, and when its bytes were removed."""

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
    """Return the films received from `since` on and before `until`, the oldest first.

    Optionally of one sender, address or association only.
    """
    query = _films()
    if since is not None:
        query = query.where(film.c.received_at >= since)
    if until is not None:
        query = query.where(film.c.received_at < until)
    filters = (
        (film.c.calling_ae_title, calling_ae_title),
        (film.c.address, address),
        (film.c.association, association),
    )
    for column, value in filters:
        if value is not None:
            query = query.where(column == value)
    return [_entry(columns) for columns in connection.execute(query.order_by(film.c.id)).mappings()]


def of_instances(connection: Connection, sop_instance_uids: Collection[str]) -> list[LedgerEntry]:
    """Return the entry of the original film of each SOP Instance UID that was received, the oldest first."""
    query = _films().where(film.c.sop_instance_uid.in_(sop_instance_uids), film.c.is_original.is_(True))
    return [_entry(columns) for columns in connection.execute(query.order_by(film.c.id)).mappings()]


def tally(films: Iterable[LedgerEntry]) -> dict[Fate, int]:
    """Return the number of films by fate; the numbers add up to the films received."""
    counts = dict.fromkeys(Fate, 0)
    for film_entry in films:
        counts[film_entry.fate] += 1
    return counts


def archive_keys(connection: Connection) -> set[str]:
    """Return the archive keys of films, results and fetched films that were not removed."""
    return {
        key
        for table in (film, result, fetched_film)
        for key in connection.execute(select(table.c.archive_key).where(table.c.removed_at.is_(None))).scalars()
    } | set(connection.execute(select(moved_film.c.archive_key).where(moved_film.c.arrived_at.is_not(None))).scalars())


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
            _study_job(Stage.COMPOSE, State.DISMISSED).label("compose_dismissed"),
            _delivery_job(State.DISMISSED).label("delivery_dismissed"),
            exists().where(result.c.study_id == film.c.study_id).correlate(film).label("has_result"),
            _is_replaced().label("is_replaced"),
            _follows_archive().label("follows_archive"),
            exists().where(rejected_film.c.film_id == film.c.id).correlate(film).label("is_rejected"),
            (
                _study_job(Stage.COMPOSE, State.WAITING, State.RUNNING)
                | _delivery_job(State.WAITING, State.RUNNING)
                | read.c.state.in_((State.WAITING, State.RUNNING))
                | ~_is_composed()
            ).label("pending"),
        )
        .join(study, film.c.study_id == study.c.id)
        .join(read, read.c.film_id == film.c.id)
    )


def _is_replaced() -> ColumnElement[bool]:
    """Whether a corrected copy took the place of the film."""
    copy = film.alias("copy")
    same_uid = copy.c.sop_instance_uid == film.c.sop_instance_uid
    return exists().where(same_uid, copy.c.is_original.is_(True), copy.c.id > film.c.id).correlate(film)


def _follows_archive() -> ColumnElement[bool]:
    """Whether the film is a corrected copy whose study was never composed: its results are the archive's to correct."""
    first, compose = film.alias("first"), job.alias("compose")
    is_copy = exists().where(first.c.sop_instance_uid == film.c.sop_instance_uid, first.c.id < film.c.id)
    is_composed = exists().where(compose.c.stage == Stage.COMPOSE, compose.c.study_id == film.c.study_id)
    return film.c.is_original.is_(True) & is_copy.correlate(film) & ~is_composed.correlate(film)


def _study_job(stage: Stage, *states: State) -> ColumnElement[bool]:
    """Whether the newest job of a stage of the study is in one of `states`."""
    newest = (
        select(func.max(job.c.id))
        .where(job.c.stage == stage, job.c.study_id == film.c.study_id)
        .correlate(film)
        .scalar_subquery()
    )
    return exists().where(job.c.id == newest, job.c.state.in_(states)).correlate(film)


def _delivery_job(*states: State) -> ColumnElement[bool]:
    """Whether a delivery of a result of the study that was not withdrawn is in one of `states`."""
    return (
        exists()
        .where(
            result.c.study_id == film.c.study_id,
            delivery.c.result_id == result.c.id,
            job.c.delivery_id == delivery.c.id,
            job.c.state.in_(states),
            ~IS_WITHDRAWN,
        )
        .correlate(film)
    )


def _is_composed() -> ColumnElement[bool]:
    """Whether the newest compose job of the study is done and there is a result.

    One transaction writes a reading and adds the compose job. So the newest compose job is never older than the
    newest reading, whatever the clock.
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
    if columns["is_rejected"]:
        return Fate.NOT_REPORTED, "rejected"
    if columns["reason"] == Reason.CORRECTION:
        return Fate.NOT_REPORTED, columns["reason"]
    if _is_reported_as_another(columns):
        return Fate.DELIVERED, ""
    if columns["state"] == State.FAILED:
        return Fate.NOT_REPORTED, columns["reason"] or "reading failed"
    if columns["compose_failed"]:
        return Fate.NOT_REPORTED, "composing failed"
    if columns["delivery_failed"]:
        return Fate.NOT_REPORTED, "delivery failed"
    if dismissed := _dismissed(columns):
        return Fate.NOT_REPORTED, dismissed
    return (Fate.IN_PROGRESS, "") if columns["pending"] else (Fate.DELIVERED, "")


def _is_reported_as_another(columns: RowMapping) -> bool:
    """Whether the film is reported as its corrected copy, counted by itself, or as the film that it corrects."""
    if columns["follows_archive"] and columns["state"] == State.DONE:
        return True
    return bool(columns["is_replaced"]) and columns["state"] in (State.DONE, State.NOT_ANALYSED)


def _dismissed(columns: RowMapping) -> str:
    """Return which job a person dismissed so that there is no report; empty if there is or will be one."""
    if columns["compose_dismissed"]:
        return "composing dismissed"
    if columns["delivery_dismissed"]:
        return "delivery dismissed"
    return Reason.DISMISSED if columns["state"] == State.DISMISSED and not columns["has_result"] else ""
