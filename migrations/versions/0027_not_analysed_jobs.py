"""Index of read jobs with a reason, by which films not analysed are counted.

Nodes of the version before work with this schema.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_IS_NOT_ANALYSED = sa.text("film_id IS NOT NULL AND reason IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_job_not_analysed",
        "job",
        ["reason"],
        sqlite_where=_IS_NOT_ANALYSED,
        postgresql_where=_IS_NOT_ANALYSED,
    )


def downgrade() -> None:
    op.drop_index("ix_job_not_analysed", "job")
