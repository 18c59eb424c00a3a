"""Models that have read films: number, identity, and when each first read one."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

from sqlalchemy import Connection, func, insert, select

from cxr_node.db.cascade_tables import cascade_step
from cxr_node.db.monitoring_tables import model
from cxr_node.db.tables import finding, reading
from cxr_node.domain.reading import ModelIdentity, StepState


class ModelKey(NamedTuple):
    """What makes two models the same, as in the columns of `model` and of `reading`."""

    name: str
    version: str
    weights_digest: str
    preparation: str
    operating_points: str

    @classmethod
    def of(cls, identity: ModelIdentity) -> Self:
        """Return the key of a model identity."""
        return cls(*(getattr(identity, name) for name in cls._fields))


READING_COLUMNS = (
    reading.c.model_name,
    reading.c.model_version,
    reading.c.weights_digest,
    reading.c.preparation,
    reading.c.operating_points,
)
"""The columns of a reading that name its model, in the order of `ModelKey`."""


STEP_COLUMNS = tuple(cascade_step.c[column.name] for column in READING_COLUMNS)
"""The same of a bundle of a cascade."""

FINDING_COLUMNS = tuple(func.coalesce(finding.c[column.name], column) for column in READING_COLUMNS)
"""The same of a finding, which has the model of its reading unless it has its own."""


def model_id(connection: Connection, key: ModelKey, *, now: datetime) -> int:
    """Return the number of a model, with a new row if it has none."""
    is_same = [model.c[name] == value for name, value in key._asdict().items()]
    number: int | None = connection.execute(select(model.c.id).where(*is_same)).scalar_one_or_none()
    if number is None:
        since = first_read(connection, {key}).get(key, now)
        row = insert(model).values(**key._asdict(), since=since).returning(model.c.id)
        number = connection.execute(row).scalar_one()
    return number


def first_read(connection: Connection, keys: Iterable[ModelKey]) -> dict[ModelKey, datetime]:
    """Return when each model first read a film; models that never did are left out."""
    first: dict[ModelKey, datetime] = {}
    for key in keys:
        is_same = [model.c[name] == value for name, value in key._asdict().items()]
        since = connection.execute(select(model.c.since).where(*is_same)).scalar()
        if since is None:
            since = min(filter(None, (_first_reading(connection, key), _first_step(connection, key))), default=None)
        if since is not None:
            first[key] = since
    return first


def _first_reading(connection: Connection, key: ModelKey) -> datetime | None:
    is_read = [column == value for column, value in zip(READING_COLUMNS, key, strict=True)]
    return connection.execute(select(reading.c.read_at).where(*is_read).order_by(reading.c.id)).scalar()


def _first_step(connection: Connection, key: ModelKey) -> datetime | None:
    is_read = [column == value for column, value in zip(STEP_COLUMNS, key, strict=True)]
    query = select(reading.c.read_at).join(cascade_step, cascade_step.c.reading_id == reading.c.id)
    return connection.execute(
        query.where(*is_read, cascade_step.c.state != StepState.NOT_READ).order_by(reading.c.id)
    ).scalar()
