"""Films that archives were asked to send to this node by C-MOVE, to be compared with.

Nodes of the version before work with this schema: they ask for none, and would receive one that another asked for as
any film.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "moved_film",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("arrived_at", _TIME),
        sa.Column("archive_key", sa.String(200)),
        sa.Column("digest", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_moved_film"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_moved_film_sop_instance_uid"),
    )
    op.create_index("ix_moved_film_requested_at", "moved_film", ["requested_at"])


def downgrade() -> None:
    op.drop_table("moved_film")
