"""Constancy checks: runs, announced films, values and accepted baselines."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import constancy_baseline, constancy_film, constancy_run, constancy_value, model
from cxr_node.db.states import Event
from cxr_node.db.tables import UtcDateTime, film, job, job_event, reading
from cxr_node.domain.identifiers import Uid

if TYPE_CHECKING:
    from cxr_node.records.models import ModelKey

_ANNOUNCED_FOR = timedelta(minutes=15)
"""Time after its announcement in which a film is accepted as that of a check."""
RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstancyFilm:
    """A film of a run: its phantom, its number once received, and the node and host that read it, once one did."""

    seed: int
    film_id: int | None
    reader: str | None


def start(transaction: Transaction, *, now: datetime) -> int:
    """Write a new run; return its number."""
    statement = insert(constancy_run).values(started_at=now, state=RUNNING, detail="").returning(constancy_run.c.id)
    number: int = transaction.connection.execute(statement).scalar_one()
    return number


def announce(transaction: Transaction, run_id: int, seed: int, sop_instance_uid: Uid, *, now: datetime) -> None:
    """Write the SOP Instance UID of a phantom that is sent next."""
    row = {"run_id": run_id, "seed": seed, "sop_instance_uid": sop_instance_uid, "registered_at": now}
    transaction.connection.execute(insert(constancy_film).values(row))


def link_film(connection: Connection, sop_instance_uid: Uid, film_id: int, *, now: datetime) -> None:
    """Link a received film to its announcement, if it has one and is the first under its UID."""
    connection.execute(_LINK_FILM, {"uid": sop_instance_uid, "since": announced_since(now=now), "film": film_id})


def announced_since(*, now: datetime) -> datetime:
    """Return the earliest announcement that is still valid."""
    return now - _ANNOUNCED_FOR


IS_EXPECTED = (
    constancy_film.c.film_id.is_(None),
    constancy_film.c.registered_at >= bindparam("since", type_=UtcDateTime),
)
"""Films announced since `since` and not received."""
_LINK_FILM = (
    update(constancy_film)
    .where(constancy_film.c.sop_instance_uid == bindparam("uid"), *IS_EXPECTED)
    .values(film_id=bindparam("film"))
)


def films_of(connection: Connection, run_id: int) -> list[ConstancyFilm]:
    """Return the films of a run, in the order of sending."""
    is_read = select(reading.c.id).where(reading.c.film_id == constancy_film.c.film_id).exists()
    claimed = job_event.c.job_id == job.c.id, job_event.c.event == Event.CLAIMED.value
    actor = select(job_event.c.actor).where(job.c.film_id == constancy_film.c.film_id, *claimed)
    last = actor.order_by(job_event.c.id.desc()).limit(1).scalar_subquery()
    query = (
        select(constancy_film.c.seed, constancy_film.c.film_id, is_read, last)
        .where(constancy_film.c.run_id == run_id)
        .order_by(constancy_film.c.id)
    )
    return [
        ConstancyFilm(seed=seed, film_id=film_id, reader=str(by).split("/", 1)[0] if was_read else None)
        for seed, film_id, was_read, by in connection.execute(query)
    ]


def end(
    transaction: Transaction,
    run_id: int,
    *,
    state: str,
    detail: str,
    now: datetime,
    model_id: int | None = None,
    engine: str = "",
    values: Iterable[Mapping[str, object]] = (),
) -> None:
    """Write the outcome and the values of a run."""
    outcome = {"state": state, "detail": detail, "ended_at": now, "model_id": model_id, "engine": engine}
    transaction.connection.execute(update(constancy_run).where(constancy_run.c.id == run_id).values(outcome))
    rows = [{"run_id": run_id, **value} for value in values]
    if rows:
        transaction.connection.execute(insert(constancy_value), rows)


def model_of(transaction: Transaction, key: "ModelKey", *, now: datetime) -> int:
    """Return the number of a model."""
    from cxr_node.records import models

    return models.model_id(transaction.connection, key, now=now)


def baseline(connection: Connection, model_id: int, engine: str) -> dict[tuple[int, str, str], float]:
    """Return the baseline of a model and engine: value by seed, kind and key."""
    is_same = constancy_baseline.c.model_id == model_id, constancy_baseline.c.engine == engine
    return {
        (row.seed, row.kind, row.key): row.value
        for row in connection.execute(select(constancy_baseline).where(*is_same))
    }


def newest(connection: Connection, *, run_id: int | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return the newest ended run, or run `run_id`, with its values; None if there is none."""
    columns = (constancy_run, model.c.name.label("model_name"), model.c.version.label("model_version"))
    query = select(*columns).outerjoin(model, model.c.id == constancy_run.c.model_id)
    is_wanted = constancy_run.c.id == run_id if run_id is not None else constancy_run.c.state != RUNNING
    row = connection.execute(query.where(is_wanted).order_by(constancy_run.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    order = (constancy_value.c.seed, constancy_value.c.kind, constancy_value.c.key)
    values = connection.execute(
        select(constancy_value).where(constancy_value.c.run_id == row["id"]).order_by(*order)
    ).mappings()
    return dict(row), [dict(value) for value in values]


def last_started_at(connection: Connection) -> datetime | None:
    """Return when the last run started."""
    started_at: datetime | None = connection.execute(
        select(constancy_run.c.started_at).order_by(constancy_run.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    return started_at


def accept(transaction: Transaction, run_id: int, *, by: str, now: datetime) -> int:
    """Make the values of a run the baseline of their models and the engine; return their number."""
    connection = transaction.connection
    row = connection.execute(select(constancy_run).where(constancy_run.c.id == run_id)).mappings().one()
    of_run = select(constancy_value).where(constancy_value.c.run_id == run_id, constancy_value.c.kind != "truth")
    values = connection.execute(of_run).mappings().all()
    models_of_run = {row["model_id"], *(value["model_id"] or row["model_id"] for value in values)}
    is_same = constancy_baseline.c.model_id.in_(models_of_run), constancy_baseline.c.engine == row["engine"]
    connection.execute(delete(constancy_baseline).where(*is_same))
    common = {
        "engine": row["engine"],
        "run_id": run_id,
        "accepted_at": now,
        "accepted_by": by,
    }
    rows = [
        {
            **common,
            "model_id": value["model_id"] or row["model_id"],
            **{name: value[name] for name in ("seed", "kind", "key", "value")},
        }
        for value in values
    ]
    if rows:
        connection.execute(insert(constancy_baseline), rows)
    return len(rows)


def remove_expired(transaction: Transaction, *, before: datetime, now: datetime, discard: Callable[[str], None]) -> int:
    """Remove the bytes of films of checks received before a time; the rows stay. Return the number of films."""
    is_expired = (
        film.c.id.in_(select(constancy_film.c.film_id).where(constancy_film.c.film_id.is_not(None))),
        film.c.received_at < before,
        film.c.removed_at.is_(None),
    )
    removed = update(film).where(*is_expired).values(removed_at=now).returning(film.c.archive_key)
    keys = transaction.connection.execute(removed).scalars().all()
    for key in keys:
        discard(key)
    return len(keys)
