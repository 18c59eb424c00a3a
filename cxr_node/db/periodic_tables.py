"""Table of the last run of each periodic job on each host and role."""

from sqlalchemy import Column, Float, String, Table, Text

from cxr_node.db.tables import UtcDateTime, metadata

periodic_job = Table(
    "periodic_job",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("host", String(64), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("next_at", UtcDateTime),
)
