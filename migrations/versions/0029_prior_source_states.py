"""Whether sources of prior films answer, and since when.

Nodes of the version before work with this schema: they do not write the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0027"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "prior_source_state",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prior_source_state"),
        sa.UniqueConstraint("source", name="uq_prior_source_state_source"),
    )


def downgrade() -> None:
    op.drop_table("prior_source_state")
