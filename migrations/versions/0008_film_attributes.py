"""Attributes of films: equipment, identifiers in a table of their own, and search by series.

Nodes of the version before work with this schema: they leave the columns of equipment empty. The periodic job
`film_attributes` reads the headers of their films, and of those received before, from the archive.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_EQUIPMENT = (
    "modality VARCHAR(16)",
    "manufacturer VARCHAR(64)",
    "manufacturer_model_name VARCHAR(64)",
    "station_name VARCHAR(64)",
)
_REPLACED = {
    "v1_films": "0001_initial_schema",
    "v1_findings": "0002_cascade",
    "v1_measurements": "0002_cascade",
    "v1_turnaround": "0001_initial_schema",
}
"""Views that get columns, each with the migration that made it."""


def upgrade() -> None:
    for column in _EQUIPMENT:
        op.execute(f"ALTER TABLE film ADD COLUMN {column}")
    if _dialect() == "sqlite":
        for view in _REPLACED:
            op.execute(f"DROP VIEW {view}")
    for statement in _statements("0008_film_attributes"):
        _execute(statement)


def downgrade() -> None:
    for view in ("v1_film_identifiers", *_REPLACED):
        op.execute(f"DROP VIEW {view}")
    op.execute("DROP TABLE film_identifiers")
    for index in ("ix_film_unread", "ix_film_series_instance_uid", "ix_result_series_instance_uid"):
        op.execute(f"DROP INDEX {index}")
    for column in _EQUIPMENT:
        op.execute(f"ALTER TABLE film DROP COLUMN {column.split()[0]}")
    for view, origin in _REPLACED.items():
        for statement in _statements(origin):
            if statement.startswith((f"CREATE VIEW {view} ", f"CREATE OR REPLACE VIEW {view} ")):
                _execute(statement)


def _dialect() -> str:
    return op.get_bind().dialect.name


def _statements(name: str) -> list[str]:
    sql = Path(__file__).with_name(f"{name}.{_dialect()}.sql").read_text(encoding="utf-8")
    return sql.rstrip().removesuffix(";").split(";\n\n")


def _execute(statement: str) -> None:
    op.execute(sa.text(statement.replace(":", r"\:")))
