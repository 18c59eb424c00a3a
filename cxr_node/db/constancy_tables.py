"""Tables of the constancy check: runs, films, values and accepted baselines."""

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
)

from cxr_node.db.monitoring_tables import of_model
from cxr_node.db.tables import UID_TEXT, RowId, UtcDateTime, film, metadata, row_id

constancy_run = Table(
    "constancy_run",
    metadata,
    row_id(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("model_id", RowId, ForeignKey("model.id")),
    Column("engine", String(128), nullable=False, server_default=""),
)

# Written before the phantom is sent. Only the first film received under this UID belongs to the check.
constancy_film = Table(
    "constancy_film",
    metadata,
    row_id(),
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False, unique=True),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("film_id", RowId, ForeignKey("film.id"), unique=True),
    Index("ix_constancy_film_run_id", "run_id"),
)

constancy_value = Table(
    "constancy_value",
    metadata,
    row_id(),
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("expected", Float),
    Column("tolerance", Float),
    UniqueConstraint("run_id", "seed", "kind", "key"),
)

constancy_baseline = Table(
    "constancy_baseline",
    metadata,
    row_id(),
    of_model(),
    Column("engine", String(128), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("accepted_by", String(64), nullable=False),
    UniqueConstraint("model_id", "engine", "seed", "kind", "key"),
)


def is_not_constancy_film() -> ColumnElement[bool]:
    """Return the condition that a film is of no constancy check."""
    return ~select(constancy_film.c.id).where(constancy_film.c.film_id == film.c.id).exists()
