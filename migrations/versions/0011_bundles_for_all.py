"""Which bundle all readers are to read with, and what each host made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bundle_choice",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("archive_key", sa.String(200)),
        sa.Column("chosen_by", sa.String(128), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_choice")),
    )
    op.create_table(
        "bundle_use",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("choice_id", _ID, nullable=False),
        sa.Column("is_refused", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["choice_id"], ["bundle_choice.id"], name=op.f("fk_bundle_use_choice_id_bundle_choice")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_use")),
        sa.UniqueConstraint("host", name=op.f("uq_bundle_use_host")),
    )


def downgrade() -> None:
    op.drop_table("bundle_use")
    op.drop_table("bundle_choice")
