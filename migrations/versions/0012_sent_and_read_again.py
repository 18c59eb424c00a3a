"""Results that a later one superseded; turnaround of films and results that are read or sent again.

Nodes of the version before work with this schema: what they compose supersedes nothing, and a delivery that they send
again counts from then.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COLUMNS = (("result", "superseded_at"), ("delivery", "first_delivered_at"), ("job", "first_ended_at"))
_DOCUMENTS = (
    "TID1500",
    "TID1500/COMPREHENSIVE",
    "TID1500/ENHANCED",
    "TID1500/MEASUREMENTS",
    "TID1500/OHIF",
    "TID2000",
    "TID4100",
    "PDF",
)
"""Kinds of one object for each study and patient. Of the others it is not known which film they show: they stay."""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, sa.DateTime(timezone=True)))
    kinds = ", ".join(f"'{kind}'" for kind in _DOCUMENTS)
    op.execute(
        "UPDATE result SET superseded_at = ("
        " SELECT min(l.composed_at) FROM result l WHERE l.study_id = result.study_id AND l.kind = result.kind"
        " AND l.patient_key = result.patient_key AND l.version > result.version"
        f") WHERE version > 0 AND kind IN ({kinds})"
    )
    if dialect == "sqlite":
        op.execute("DROP VIEW v1_turnaround")
    _execute(_statements("0012_sent_and_read_again")[0])


def downgrade() -> None:
    op.execute("DROP VIEW v1_turnaround")
    for table, column in _COLUMNS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    for statement in _statements("0008_film_attributes"):
        if "VIEW v1_turnaround AS" in statement:
            _execute(statement)


def _statements(name: str) -> list[str]:
    sql = Path(__file__).with_name(f"{name}.{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    return sql.rstrip().removesuffix(";").split(";\n\n")


def _execute(statement: str) -> None:
    op.execute(sa.text(statement.replace(":", r"\:")))
