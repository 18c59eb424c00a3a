"""Permission to see identifiers of films, for users and API tokens; nobody has it at first.

Nodes of the version before work with this schema: they leave the default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = ("web_user", "api_token")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("sees_identifiers", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "sees_identifiers")
