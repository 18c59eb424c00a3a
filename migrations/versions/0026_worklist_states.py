"""Whether worklists answer, and since when.

Nodes of the version before work with this schema: they do not write the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "worklist_state",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("worklist", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worklist_state"),
        sa.UniqueConstraint("worklist", name="uq_worklist_state_worklist"),
    )


def downgrade() -> None:
    op.drop_table("worklist_state")
