"""Unified Procedure Steps that the node has claimed, with their view.

Nodes of the version before work with this schema: they claim none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_IS_OPEN = sa.text("ended_at IS NULL")
_VIEW = """
CREATE VIEW v1_worklist_steps AS
SELECT id AS step_id, worklist, sop_instance_uid AS step_uid, state, study_instance_uid, films, held_films,
       progress, reason, detail, requested_at, claimed_at, ended_at
FROM procedure_step
"""


def upgrade() -> None:
    op.create_table(
        "procedure_step",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("worklist", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("films", sa.Integer, nullable=False),
        sa.Column("held_films", sa.Integer, nullable=False),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("claimed_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_procedure_step"),
        sa.UniqueConstraint("transaction_uid", name="uq_procedure_step_transaction_uid"),
        sa.UniqueConstraint("worklist", "sop_instance_uid", name="uq_procedure_step_worklist_sop_instance_uid"),
    )
    op.create_index("ix_procedure_step_requested_at", "procedure_step", ["requested_at"])
    op.create_index(
        "ix_procedure_step_open", "procedure_step", ["id"], sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN
    )
    op.execute(_VIEW.strip())


def downgrade() -> None:
    op.execute("DROP VIEW v1_worklist_steps")
    op.drop_table("procedure_step")
