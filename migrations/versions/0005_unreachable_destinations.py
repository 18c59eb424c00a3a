"""Unreachable destinations: since when, and why.

Nodes of the version before work with this schema: they note none.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = f"0005_unreachable_destinations.{op.get_bind().dialect.name}.sql"
    sql = Path(__file__).with_name(name).read_text(encoding="utf-8")
    for statement in sql.rstrip().removesuffix(";").split(";\n\n"):
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    op.execute("DROP VIEW v1_unreachable_destinations")
    op.execute("DROP TABLE destination_trouble")
