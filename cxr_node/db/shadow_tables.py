"""Tables of shadow mode: progress, readings and findings of the shadow model."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from cxr_node.db.monitoring_tables import of_model
from cxr_node.db.tables import CODE, RowId, UtcDateTime, metadata, row_id

# Number of the last reading whose film the model has read, and attempts at the next one.
shadow_progress = Table(
    "shadow_progress",
    metadata,
    row_id(),
    of_model(),
    Column("reading_id", RowId, nullable=False),
    Column("attempts", Integer, nullable=False),
    UniqueConstraint("model_id"),
)

shadow = Table(
    "shadow",
    metadata,
    row_id(),
    of_model(),
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("not_analysed", CODE),
    Column("detail", Text, nullable=False),
    UniqueConstraint("film_id", "model_id"),
    Index("ix_shadow_model_id_read_at", "model_id", "read_at"),
)

shadow_finding = Table(
    "shadow_finding",
    metadata,
    row_id(),
    Column("shadow_id", RowId, ForeignKey("shadow.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("score", Float, nullable=False),
    Column("operating_point", Float, nullable=False),
    Column("presence", String(16), nullable=False),
    UniqueConstraint("shadow_id", "key"),
)
