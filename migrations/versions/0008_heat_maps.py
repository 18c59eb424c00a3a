"""Where a score comes from, kept with the finding."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "heat_map",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("finding_id", _ID, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("area", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("levels", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name=op.f("fk_heat_map_finding_id_finding")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heat_map")),
        sa.UniqueConstraint("finding_id", name=op.f("uq_heat_map_finding_id")),
    )


def downgrade() -> None:
    op.drop_table("heat_map")
