"""Received rejection notes, the instances that they name, and the films that are hidden.

Nodes of the version before work with this schema: they reject notes, and report hidden films.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "rejection_note",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("title", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rejection_note"),
        sa.UniqueConstraint("sop_instance_uid", "digest", name="uq_rejection_note_sop_instance_uid_digest"),
    )
    op.create_table(
        "rejected_instance",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("note_id", _ROW_ID),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("title", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("rejected_by", sa.String(128), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.Column("lifted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_rejected_instance"),
        sa.ForeignKeyConstraint(["note_id"], ["rejection_note.id"], name="fk_rejected_instance_note_id_rejection_note"),
    )
    for column in ("sop_instance_uid", "study_instance_uid"):
        op.create_index(f"ix_rejected_instance_{column}", "rejected_instance", [column])
    op.create_table(
        "rejected_film",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("film_id", _ROW_ID, nullable=False),
        sa.Column("title", sa.String(16), nullable=False),
        sa.Column("rejected_by", sa.String(128), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rejected_film"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_rejected_film_film_id_film"),
        sa.UniqueConstraint("film_id", name="uq_rejected_film_film_id"),
    )


def downgrade() -> None:
    op.drop_table("rejected_film")
    op.drop_table("rejected_instance")
    op.drop_table("rejection_note")
