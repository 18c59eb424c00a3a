"""API tokens.

Nodes of the version before work with this schema: they accept no tokens.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_name(f"0007_api_tokens.{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    op.execute(sa.text(sql.rstrip().removesuffix(";")))


def downgrade() -> None:
    op.execute("DROP TABLE api_token")
