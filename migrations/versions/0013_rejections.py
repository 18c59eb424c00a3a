"""Rejections of each host by calling AE title and reason, with their view.

Nodes of the version before work with this schema: they write no rejections.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_VIEW = """
CREATE VIEW v1_rejections AS
SELECT id AS rejection_id, host, calling_ae_title, reason, address, rejections, first_at, last_at
FROM rejection
"""


def upgrade() -> None:
    op.create_table(
        "rejection",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("rejections", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rejection"),
        sa.UniqueConstraint("host", "calling_ae_title", "reason", name="uq_rejection_host_calling_ae_title_reason"),
    )
    op.create_index("ix_rejection_last_at", "rejection", ["last_at"])
    op.execute(_VIEW.strip())


def downgrade() -> None:
    op.execute("DROP VIEW v1_rejections")
    op.drop_table("rejection")
