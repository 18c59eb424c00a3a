"""Whether sources of prior films answer, and since when; de-identified exports, with their view.

Nodes of the version before work with this schema: they do not write the tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0027"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_VIEW = """
CREATE VIEW v1_exports AS
SELECT id AS export_id, begun_at, begun_by, target, selection, conditions,
       CASE WHEN ended_at IS NULL THEN 'begun' WHEN detail = '' THEN 'completed' ELSE 'failed' END AS outcome,
       planned_films, studies, present_studies, objects, kinds, left_out, reasons, detail, ended_at
FROM export_run
"""


def upgrade() -> None:
    op.create_table(
        "prior_source_state",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prior_source_state"),
        sa.UniqueConstraint("source", name="uq_prior_source_state_source"),
    )
    op.create_table(
        "export_run",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("begun_by", sa.String(128), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("selection", sa.Text, nullable=False),
        sa.Column("conditions", sa.Text, nullable=False),
        sa.Column("planned_films", sa.Integer, nullable=False),
        sa.Column("studies", sa.Integer, nullable=False),
        sa.Column("present_studies", sa.Integer, nullable=False),
        sa.Column("objects", sa.Integer, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("left_out", sa.Integer, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_export_run"),
    )
    op.create_index("ix_export_run_begun_at", "export_run", ["begun_at"])
    op.execute(_VIEW.strip())


def downgrade() -> None:
    op.execute("DROP VIEW v1_exports")
    op.drop_table("export_run")
    op.drop_table("prior_source_state")
