"""View of studies with their verdicts and deliveries, and an index for its period.

Nodes of the version before work with this schema.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = f"0009_studies.{op.get_bind().dialect.name}.sql"
    sql = Path(__file__).with_name(name).read_text(encoding="utf-8")
    for statement in sql.rstrip().removesuffix(";").split(";\n\n"):
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    op.execute("DROP VIEW v1_studies")
    op.execute("DROP INDEX ix_study_first_received_at")
