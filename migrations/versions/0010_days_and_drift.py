"""Days counted, and held against their reference."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_DAY = sa.String(10)

_VIEWS = {
    "v1_days": """
SELECT d.day, {start} AS starts_at, d.calling_ae_title, m.name AS model_name, m.version AS model_version,
       m.weights_digest, d.kind, d.key, d.films, d.hits, d.total / d.films AS mean
FROM day_figure d JOIN model m ON m.id = d.model_id
""",
    "v1_drift": """
SELECT d.day, d.judged_at, d.calling_ae_title, m.name AS model_name, m.version AS model_version, m.weights_digest,
       d.kind, d.key, d.reference_from, d.reference_until, d.window_from, d.reference_films, d.films,
       d.reference_value, d.value, d.effect, d.p_value, d.adjusted_p, d.is_drift
FROM drift d JOIN model m ON m.id = d.model_id
""",
}


def upgrade() -> None:
    op.create_table(
        "model",
        _id(),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("weights_digest", sa.String(64), nullable=False),
        sa.Column("preparation", sa.Text, nullable=False),
        sa.Column("operating_points", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint(
            "weights_digest", "preparation", "operating_points", "name", "version",
            name="uq_model_identity",
        ),
    )  # fmt: skip
    op.create_table(
        "day_figure",
        _id(),
        *_of_figure(),
        sa.Column("films", sa.Integer, nullable=False),
        sa.Column("hits", sa.Integer, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_day_figure"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_day_figure_model_id_model"),
        sa.UniqueConstraint(
            "model_id", "kind", "calling_ae_title", "day", "key",
            name="uq_day_figure_model_id_kind_calling_ae_title_day_key",
        ),
    )  # fmt: skip
    op.create_index("ix_day_figure_day", "day_figure", ["day"])
    op.create_table(
        "day_mark",
        _id(),
        sa.Column("reading_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_day_mark"),
    )
    op.create_table(
        "drift",
        _id(),
        *_of_figure(),
        sa.Column("reference_from", _DAY, nullable=False),
        sa.Column("reference_until", _DAY, nullable=False),
        sa.Column("window_from", _DAY, nullable=False),
        sa.Column("reference_films", sa.Integer, nullable=False),
        sa.Column("films", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in _NUMBERS),
        sa.Column("is_drift", sa.Boolean, nullable=False),
        sa.Column("judged_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_drift_model_id_model"),
        sa.UniqueConstraint(
            "day", "calling_ae_title", "kind", "key", "model_id", name="uq_drift_day_calling_ae_title_kind_key_model_id"
        ),
    )
    op.create_table(
        "day_judged",
        _id(),
        sa.Column("day", _DAY, nullable=False),
        sa.Column("judged_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_day_judged"),
        sa.UniqueConstraint("day", name="uq_day_judged_day"),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    start = "d.day || ' 00:00:00.000000'" if is_sqlite else "CAST(d.day AS timestamp) AT TIME ZONE 'UTC'"
    for name, query in _VIEWS.items():
        op.execute(sa.text(f"CREATE VIEW {name} AS {query.format(start=start)}".replace(":", r"\:")))


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW {name}")
    for name in ("day_judged", "drift", "day_mark", "day_figure", "model"):
        op.drop_table(name)


_NUMBERS = ("reference_value", "value", "effect", "p_value", "adjusted_p")


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def _of_figure() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("day", _DAY, nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
    )
