"""Table of de-identified exports that commands have begun."""

from sqlalchemy import Column, Index, Integer, String, Text

from cxr_node.db.tables import UtcDateTime, numbered_table

# A row names no patient, study or film, and has nothing of the secret of the pseudonyms.
export_run = numbered_table(
    "export_run",
    Column("begun_at", UtcDateTime, nullable=False),
    Column("begun_by", String(128), nullable=False),
    # A folder, or the name of a destination.
    Column("target", Text, nullable=False),
    Column("selection", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("planned_films", Integer, nullable=False),
    Column("studies", Integer, nullable=False),
    Column("present_studies", Integer, nullable=False),
    Column("objects", Integer, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("reasons", Text, nullable=False),
    # Empty until the export has ended.
    Column("detail", Text, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_export_run_begun_at", "begun_at"),
)
