"""Checks of constancy; their films are in no view of films."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)

_CHECKS = """
SELECT r.id AS run_id, r.started_at, r.ended_at, r.state, r.detail, m.name AS model_name, m.version AS model_version,
       m.weights_digest, r.engine, v.seed, v.kind, v.key, v.value, v.expected, v.tolerance,
       abs(v.value - v.expected) <= v.tolerance AS is_held
FROM constancy_run r LEFT JOIN model m ON m.id = r.model_id LEFT JOIN constancy_value v ON v.run_id = r.id
"""
_NO_CHECK = "NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = {0}.{1})"
# How each view says it, after what it says already: whichever migration made it.
_ENDS = {
    "v1_films": f" WHERE {_NO_CHECK.format('f', 'id')}",
    "v1_findings": f" AND {_NO_CHECK.format('f', 'id')}",
    "v1_measurements": f" AND {_NO_CHECK.format('f', 'id')}",
    "v1_turnaround": f" WHERE {_NO_CHECK.format('f', 'id')}",
}
_ENDS_OF_SQLITE = _ENDS | {"v1_turnaround": f" WHERE {_NO_CHECK.format('t', 'film_id')}"}

# As PostgreSQL says it.
_REPRINTED = re.compile(
    r"\s+(WHERE|AND) \(NOT \(EXISTS \( SELECT 1\s+FROM constancy_film c\s+WHERE \(c\.film_id = [ft]\.\w+\)\)\)\)"
)


def upgrade() -> None:
    op.create_table(
        "constancy_run",
        _id(),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("model_id", _ID),
        sa.Column("engine", sa.String(128), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_constancy_run"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_constancy_run_model_id_model"),
    )
    op.create_table(
        "constancy_film",
        _id(),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("film_id", _ID),
        sa.PrimaryKeyConstraint("id", name="pk_constancy_film"),
        sa.ForeignKeyConstraint(["run_id"], ["constancy_run.id"], name="fk_constancy_film_run_id_constancy_run"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_constancy_film_film_id_film"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_constancy_film_sop_instance_uid"),
        sa.UniqueConstraint("film_id", name="uq_constancy_film_film_id"),
    )
    op.create_index("ix_constancy_film_run_id", "constancy_film", ["run_id"])
    op.create_table(
        "constancy_value",
        _id(),
        sa.Column("run_id", _ID, nullable=False),
        *_named(),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("expected", sa.Float),
        sa.Column("tolerance", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_constancy_value"),
        sa.ForeignKeyConstraint(["run_id"], ["constancy_run.id"], name="fk_constancy_value_run_id_constancy_run"),
        sa.UniqueConstraint("run_id", "seed", "kind", "key", name="uq_constancy_value_run_id_seed_kind_key"),
    )
    op.create_table(
        "constancy_accepted",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("engine", sa.String(128), nullable=False),
        *_named(),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("accepted_at", _TIME, nullable=False),
        sa.Column("accepted_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_constancy_accepted"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_constancy_accepted_model_id_model"),
        sa.ForeignKeyConstraint(["run_id"], ["constancy_run.id"], name="fk_constancy_accepted_run_id_constancy_run"),
        sa.UniqueConstraint(
            "model_id", "engine", "seed", "kind", "key", name="uq_constancy_accepted_model_id_engine_seed_kind_key"
        ),
    )
    op.execute(f"CREATE VIEW v1_constancy AS {_CHECKS}")
    for name, end in _ends().items():
        _make(name, _said(name) + end)


def downgrade() -> None:
    for name, end in _ends().items():
        _make(name, _REPRINTED.sub("", _said(name).removesuffix(end)))
    op.execute("DROP VIEW v1_constancy")
    for name in ("constancy_accepted", "constancy_value", "constancy_film", "constancy_run"):
        op.drop_table(name)


def _ends() -> dict[str, str]:
    return _ENDS_OF_SQLITE if op.get_bind().dialect.name == "sqlite" else _ENDS


def _said(name: str) -> str:
    """Return the query of a view as the database has it."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = :name")
        return str(connection.execute(query, {"name": name}).scalar_one()).split(" AS ", 1)[1].rstrip()
    query = sa.text("SELECT pg_get_viewdef(CAST(:name AS regclass))")
    return str(connection.execute(query, {"name": name}).scalar_one()).rstrip().removesuffix(";")


def _make(name: str, query: str) -> None:
    create = "CREATE OR REPLACE VIEW"  # who was granted the view keeps it
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP VIEW {name}")
        create = "CREATE VIEW"
    op.execute(sa.text(f"{create} {name} AS {query}".replace(":", r"\:")))


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def _named() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
    )
