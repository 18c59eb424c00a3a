"""Pauses of reading and of destinations.

Nodes of the version before work with this schema: they obey no pause.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pause",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("paused_by", sa.String(128), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pause"),
        sa.UniqueConstraint("stage", "destination", name="uq_pause_stage_destination"),
    )


def downgrade() -> None:
    op.drop_table("pause")
