"""Models that read films, numbered: identity, and when each first read one."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from cxr_node.db.monitoring_tables import model
from cxr_node.db.tables import reading

IDENTITY = {
    "name": reading.c.model_name,
    "version": reading.c.model_version,
    "weights_digest": reading.c.weights_digest,
    "preparation": reading.c.preparation,
    "operating_points": reading.c.operating_points,
}
Model = tuple[str, ...]
"""Name, version, digest, preparation and operating points, as readings have them."""


def model_id(connection: Connection, of: Model, *, now: datetime) -> int:
    """Return the number of a model; it gets one when it is first asked for."""
    named = dict(zip(IDENTITY, of, strict=True))
    same = [model.c[name] == value for name, value in named.items()]
    found: int | None = connection.execute(select(model.c.id).where(*same)).scalar_one_or_none()
    if found is None:
        since = first_read(connection, {of}).get(of, now)
        made = insert(model).values(**named, since=since).returning(model.c.id)
        found = connection.execute(made).scalar_one()
    return found


def first_read(connection: Connection, models: set[Model]) -> dict[Model, datetime]:
    """Return when each model first read a film."""
    found: dict[Model, datetime] = {}
    for of in models:
        named = dict(zip(IDENTITY, of, strict=True))
        known = connection.execute(select(model.c.since).where(*(model.c[k] == v for k, v in named.items()))).scalar()
        same = [IDENTITY[name] == value for name, value in named.items()]
        first = known or connection.execute(select(reading.c.read_at).where(*same).order_by(reading.c.id)).scalar()
        if first is not None:
            found[of] = first
    return found
