"""Made for tests: a second migration that expands the schema by a column, an index and a column of a view."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from cxr_node.queries.views.registry import VIEWS

revision = "9000"
down_revision = max(path.name[:4] for path in Path(__file__).parent.glob("0*.py"))
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study", sa.Column("film_count", sa.Integer(), nullable=True))
    unfilled = sa.text("film_count IS NULL")
    op.create_index("ix_study_unfilled", "study", ["id"], sqlite_where=unfilled, postgresql_where=unfilled)
    _replace_view(f"SELECT v.*, s.film_count FROM ({_present()}) v JOIN study s ON s.id = v.study_id")  # noqa: S608


def downgrade() -> None:
    op.execute("DROP VIEW v1_films")
    op.execute(_escaped(f"CREATE VIEW v1_films AS {_present()}"))
    op.drop_index("ix_study_unfilled", table_name="study")
    op.drop_column("study", "film_count")


def _present() -> str:
    return VIEWS["v1_films"].query(op.get_bind().dialect.name)


def _replace_view(query: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW v1_films")
        op.execute(_escaped(f"CREATE VIEW v1_films AS {query}"))
    else:
        # In place: roles that were granted the view keep it.
        op.execute(_escaped(f"CREATE OR REPLACE VIEW v1_films AS {query}"))


def _escaped(statement: str) -> sa.TextClause:
    return sa.text(statement.replace(":", r"\:"))
