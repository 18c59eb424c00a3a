"""Notifications of findings by rule.

Nodes of the version before work with this schema: a study that they compose is notified with its next version.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_DUE = sa.text("is_active <> is_notified")


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("study_id", _ROW_ID, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_notified", sa.Boolean, nullable=False),
        sa.Column("notified_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_notification_study_id_study"),
        sa.UniqueConstraint("study_id", "rule", name="uq_notification_study_id_rule"),
    )
    op.create_index("ix_notification_due", "notification", ["due_at"], sqlite_where=_IS_DUE, postgresql_where=_IS_DUE)


def downgrade() -> None:
    op.drop_table("notification")
