"""When the bytes of films and results were removed, and since when a film that came again is kept anew."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


# Columns one by one: a batch would make the tables anew, which SQLite refuses where rows refer to them.
def upgrade() -> None:
    op.add_column("film", sa.Column("kept_from", _TIME, nullable=True))
    op.add_column("film", sa.Column("removed_at", _TIME, nullable=True))
    op.add_column("result", sa.Column("removed_at", _TIME, nullable=True))


def downgrade() -> None:
    op.drop_column("result", "removed_at")
    op.drop_column("film", "removed_at")
    op.drop_column("film", "kept_from")
