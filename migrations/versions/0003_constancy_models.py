"""Constancy: the model of a value, for checks of a cascade."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FOREIGN_KEY = "CONSTRAINT fk_constancy_value_model_id_model REFERENCES model (id)"
_VIEW = "v1_constancy"


def upgrade() -> None:
    kind = "INTEGER" if _dialect() == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE constancy_value ADD COLUMN model_id {kind} {_FOREIGN_KEY}")
    if _dialect() == "sqlite":
        op.execute(f"DROP VIEW {_VIEW}")
    for statement in _statements("0003_constancy_models"):
        _execute(statement)


def downgrade() -> None:
    op.execute(f"DROP VIEW {_VIEW}")
    if _dialect() == "sqlite":
        # SQLite drops no column with a foreign key: the table is copied.
        with op.batch_alter_table("constancy_value") as table:
            table.drop_column("model_id")
    else:
        op.execute("ALTER TABLE constancy_value DROP COLUMN model_id")
    for statement in _statements("0001_initial_schema"):
        if statement.startswith(f"CREATE VIEW {_VIEW} "):
            _execute(statement)


def _dialect() -> str:
    return op.get_bind().dialect.name


def _statements(name: str) -> list[str]:
    sql = Path(__file__).with_name(f"{name}.{_dialect()}.sql").read_text(encoding="utf-8")
    return sql.rstrip().removesuffix(";").split(";\n\n")


def _execute(statement: str) -> None:
    op.execute(sa.text(statement.replace(":", r"\:")))
