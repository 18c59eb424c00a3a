"""What is seen and measured: structures, appearance and observations; of a measurement its topic, site and side."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)
_SEEN = ("structures", "appearance", "observations")


# Columns one by one: a batch would make the tables anew, which SQLite refuses where rows refer to them.
def upgrade() -> None:
    for name in _SEEN:
        op.add_column("reading", sa.Column(name, _JSON, nullable=True))
    topic = sa.Column("topic", sa.String(length=16), nullable=False, server_default="proportions")
    op.add_column("measurement", topic)
    op.add_column("measurement", sa.Column("site", _JSON, nullable=True))
    op.add_column("measurement", sa.Column("laterality", sa.String(length=16), nullable=True))


def downgrade() -> None:
    for name in ("laterality", "site", "topic"):
        op.drop_column("measurement", name)
    for name in reversed(_SEEN):
        op.drop_column("reading", name)
