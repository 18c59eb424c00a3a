"""Shadow mode: the next film for the shadow model, and its readings."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import is_not_constancy_film, shadow, shadow_finding, shadow_progress
from cxr_node.db.tables import film, reading
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.records import models
from cxr_node.records.models import ModelKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTask:
    """A film to read with the shadow model, its newest reading, and the attempts including this one."""

    film_id: int
    reading_id: int
    attempts: int


def model_id(transaction: Transaction, identity: ModelIdentity, *, now: datetime) -> int:
    """Return the number of a shadow model; a new one starts with the films that are read from now on."""
    connection = transaction.connection
    number = models.model_id(connection, ModelKey.of(identity), now=now)
    if connection.execute(select(shadow_progress.c.id).where(shadow_progress.c.model_id == number)).first() is None:
        last = connection.execute(select(func.max(reading.c.id))).scalar() or 0
        connection.execute(insert(shadow_progress).values(model_id=number, reading_id=last, attempts=0))
    return number


def next_film(transaction: Transaction, model: int) -> ShadowTask | None:
    """Return the next film that was read and is in the archive, and count the attempt; None if there is none."""
    connection = transaction.connection
    progress = connection.execute(select(shadow_progress).where(shadow_progress.c.model_id == model)).mappings().one()
    conditions = film.c.removed_at.is_(None), is_not_constancy_film()
    query = select(reading.c.id, reading.c.film_id).join(film, film.c.id == reading.c.film_id)
    row = connection.execute(
        query.where(reading.c.id > progress["reading_id"], *conditions).order_by(reading.c.id).limit(1)
    ).first()
    if row is None:
        return None
    connection.execute(
        update(shadow_progress)
        .where(shadow_progress.c.model_id == model)
        .values(attempts=shadow_progress.c.attempts + 1)
    )
    return ShadowTask(film_id=row.film_id, reading_id=row.id, attempts=progress["attempts"] + 1)


def store(transaction: Transaction, model: int, task: ShadowTask, value: Reading, *, now: datetime) -> None:
    """Write a shadow reading, in place of one by the same model, and advance the progress."""
    connection = transaction.connection
    query = select(shadow.c.id).where(shadow.c.film_id == task.film_id, shadow.c.model_id == model)
    old = connection.execute(query).scalar_one_or_none()
    if old is not None:
        connection.execute(delete(shadow_finding).where(shadow_finding.c.shadow_id == old))
        connection.execute(delete(shadow).where(shadow.c.id == old))
    row = {"film_id": task.film_id, "model_id": model, "read_at": now, "not_analysed": value.not_analysed}
    statement = insert(shadow).values(**row, detail=value.detail).returning(shadow.c.id)
    shadow_id = connection.execute(statement).scalar_one()
    findings = [
        {
            "shadow_id": shadow_id,
            "key": finding.key,
            "score": finding.score,
            "operating_point": finding.operating_point,
            "presence": finding.presence,
        }
        for finding in (value.prediction.findings if value.prediction else ())
    ]
    if findings:
        connection.execute(insert(shadow_finding), findings)
    advanced = update(shadow_progress).where(shadow_progress.c.model_id == model)
    connection.execute(advanced.values(reading_id=task.reading_id, attempts=0))


def backlog(connection: Connection, model: int) -> int:
    """Return the number of readings after the progress of a shadow model."""
    progress = select(shadow_progress.c.reading_id).where(shadow_progress.c.model_id == model).scalar_subquery()
    return connection.execute(select(func.count()).select_from(reading).where(reading.c.id > progress)).scalar_one()


def newest_model(connection: Connection) -> int | None:
    """Return the model of the newest shadow reading; None if there is none."""
    number: int | None = connection.execute(
        select(shadow.c.model_id).order_by(shadow.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    return number
