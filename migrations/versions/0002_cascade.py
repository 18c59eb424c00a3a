"""Cascade: what each bundle contributed to a reading, and the model of a finding.

The SQL is a frozen copy, as in 0001. Nodes of the version before work with this schema: they leave the columns empty.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MODEL = (
    "model_name VARCHAR(64)",
    "model_version VARCHAR(64)",
    "model_manufacturer VARCHAR(64)",
    "weights_digest VARCHAR(64)",
    "preparation TEXT",
    "operating_points TEXT",
)
_REPLACED = ("v1_findings", "v1_measurements", "v1_shadow")


def upgrade() -> None:
    for column in _MODEL:
        op.execute(f"ALTER TABLE finding ADD COLUMN {column}")
    if _dialect() == "sqlite":
        for view in _REPLACED:
            op.execute(f"DROP VIEW {view}")
    for statement in _statements("0002_cascade"):
        _execute(statement)


def downgrade() -> None:
    for view in ("v1_second_opinions", "v1_cascade", *_REPLACED):
        op.execute(f"DROP VIEW {view}")
    for statement in _statements("0001_initial_schema"):
        if statement.startswith(tuple(f"CREATE VIEW {view} " for view in _REPLACED)):
            _execute(statement)
    op.execute("DROP TABLE second_opinion")
    op.execute("DROP TABLE cascade_step")
    for column in _MODEL:
        op.execute(f"ALTER TABLE finding DROP COLUMN {column.split()[0]}")


def _dialect() -> str:
    return op.get_bind().dialect.name


def _statements(name: str) -> list[str]:
    sql = Path(__file__).with_name(f"{name}.{_dialect()}.sql").read_text(encoding="utf-8")
    return sql.rstrip().removesuffix(";").split(";\n\n")


def _execute(statement: str) -> None:
    op.execute(sa.text(statement.replace(":", r"\:")))
