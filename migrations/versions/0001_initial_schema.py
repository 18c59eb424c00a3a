"""Initial schema: tables, indexes and views, as SQL of each database in the files beside this one.

The SQL is a frozen copy of what `cxr_node/db` and `cxr_node/queries/views` define at this revision. Tests compare
migrated databases with the package.
"""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The oldest revision whose nodes can work with this schema. A later migration that removes something replaces the
# view. It is a view and not a table because it belongs to the schema: it is not copied with the rows.
_FLOOR = f"CREATE VIEW schema_floor AS SELECT '{revision}' AS oldest"


def upgrade() -> None:
    for statement in (*_statements(), _FLOOR):
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    created = re.findall(r"^CREATE (TABLE|VIEW) (\w+)", "\n".join((*_statements(), _FLOOR)), re.MULTILINE)
    for kind, name in reversed(created):
        op.execute(f"DROP {kind} {name}")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1")


def _statements() -> list[str]:
    sql = Path(__file__).with_suffix(f".{op.get_bind().dialect.name}.sql").read_text(encoding="utf-8")
    return sql.rstrip().removesuffix(";").split(";\n\n")
