"""Senders whose films alone a rejection concerns, HL7 messages that correct patients, and indexes of rejections.

Nodes of the version before work with this schema: what they store concerns films of any sender.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_PENDING = sa.text("applied_at IS NULL AND lifted_at IS NULL")


def upgrade() -> None:
    op.add_column("rejected_instance", sa.Column("only_from", sa.String(16)))
    op.create_index(
        "ix_rejected_instance_pending",
        "rejected_instance",
        ["sop_instance_uid"],
        sqlite_where=_IS_PENDING,
        postgresql_where=_IS_PENDING,
    )
    op.create_index("ix_withdrawal_note_id", "withdrawal", ["note_id"])
    op.create_table(
        "patient_message",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("sender", sa.String(128), nullable=False),
        sa.Column("control_id", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("films", sa.Integer, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patient_message"),
        sa.UniqueConstraint("sender", "control_id", name="uq_patient_message_sender_control_id"),
    )
    op.create_index("ix_patient_message_received_at", "patient_message", ["received_at"])
    op.create_table(
        "corrected_copy",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("film_id", _ROW_ID, nullable=False),
        sa.Column("message_id", _ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corrected_copy"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_corrected_copy_film_id_film"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["patient_message.id"], name="fk_corrected_copy_message_id_patient_message"
        ),
        sa.UniqueConstraint("film_id", name="uq_corrected_copy_film_id"),
    )
    op.create_index("ix_corrected_copy_message_id", "corrected_copy", ["message_id"])


def downgrade() -> None:
    op.drop_table("corrected_copy")
    op.drop_table("patient_message")
    op.drop_index("ix_withdrawal_note_id", "withdrawal")
    op.drop_index("ix_rejected_instance_pending", "rejected_instance")
    op.drop_column("rejected_instance", "only_from")
