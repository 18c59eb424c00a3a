"""Users of the web page, and sessions.

Nodes of the version before work with this schema: they know neither, and keep sessions in cookies alone.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_name(f"0006_web_users.{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    for statement in sql.rstrip().removesuffix(";").split(";\n\n"):
        op.execute(sa.text(statement))


def downgrade() -> None:
    op.execute("DROP TABLE web_session")
    op.execute("DROP TABLE web_user")
