"""Withdrawn results, and how often a study was issued anew.

Nodes of the version before work with this schema: they correct nothing, and send what another node has withdrawn.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "study_issue",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("study_id", _ROW_ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study_issue"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_study_issue_study_id_study"),
        sa.UniqueConstraint("study_id", name="uq_study_issue_study_id"),
    )
    op.create_table(
        "withdrawal",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("result_id", _ROW_ID, nullable=False),
        sa.Column("title", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("withdrawn_by", sa.String(128), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note_id", _ROW_ID),
        sa.PrimaryKeyConstraint("id", name="pk_withdrawal"),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name="fk_withdrawal_result_id_result"),
        sa.ForeignKeyConstraint(["note_id"], ["result.id"], name="fk_withdrawal_note_id_result"),
        sa.UniqueConstraint("result_id", name="uq_withdrawal_result_id"),
    )


def downgrade() -> None:
    op.drop_table("withdrawal")
    op.drop_table("study_issue")
