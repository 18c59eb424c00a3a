"""Points: named points and embeddings of a reading.

Nodes of the version before work with this schema: they write neither.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_name(f"0004_points.{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    for statement in sql.rstrip().removesuffix(";").split(";\n\n"):
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    op.execute("DROP VIEW v1_points")
    op.execute("DROP TABLE embedding")
    op.execute("DROP TABLE point")
