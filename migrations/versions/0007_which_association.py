"""Which of a sender's associations a film came on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("film", sa.Column("association", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("film", "association")
