"""Searches for prior films at other archives, the films fetched, and comparisons with them, with their view.

Nodes of the version before work with this schema: they search nothing, and compose without what was fetched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0020"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_IS_UNREAD = sa.text("read_at IS NULL AND removed_at IS NULL")
_IS_WAITING = sa.text("state = 'waiting'")
_SITE = {"sqlite": "json_extract(x.site, '$.meaning')", "postgresql": "(x.site ->> 'meaning')"}
_VIEW = """
CREATE VIEW v1_fetched_comparisons AS
SELECT x.id AS comparison_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, p.source, p.study_instance_uid AS prior_study_instance_uid,
       p.sop_instance_uid AS prior_sop_instance_uid, x.key, x.code_value, x.code_scheme, x.code_meaning,
       {site} AS site, x.laterality, x.value, x.prior_value,
       x.value - x.prior_value AS difference, x.unit, x.repeatability_limit, x.change
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN fetched_compared_value x CROSS JOIN fetched_film p
WHERE x.film_id = f.id AND p.id = x.fetched_film_id
"""


def upgrade() -> None:
    _create_fetched_film()
    _create_prior_search()
    _create_fetched_compared_value()
    op.execute(_VIEW.format(site=_SITE[op.get_bind().dialect.name]).strip())


def _create_fetched_film() -> None:
    op.create_table(
        "fetched_film",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("patient_key", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("archive_key", sa.String(200), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("fetched_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("removed_at", _TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("read_at", _TIME),
        sa.Column("reading", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_fetched_film"),
        sa.UniqueConstraint("sop_instance_uid", "digest", name="uq_fetched_film_sop_instance_uid_digest"),
    )
    op.create_index("ix_fetched_film_expires_at", "fetched_film", ["expires_at"])
    op.create_index(
        "ix_fetched_film_unread", "fetched_film", ["id"], sqlite_where=_IS_UNREAD, postgresql_where=_IS_UNREAD
    )


def _create_prior_search() -> None:
    op.create_table(
        "prior_search",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("film_id", _ROW_ID, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fetched_film_id", _ROW_ID),
        sa.Column("unsuitable", sa.JSON, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_prior_search"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_prior_search_film_id_film"),
        sa.ForeignKeyConstraint(
            ["fetched_film_id"], ["fetched_film.id"], name="fk_prior_search_fetched_film_id_fetched_film"
        ),
        sa.UniqueConstraint("film_id", name="uq_prior_search_film_id"),
    )
    op.create_index("ix_prior_search_fetched_film_id", "prior_search", ["fetched_film_id"])
    op.create_index("ix_prior_search_created_at", "prior_search", ["created_at"])
    op.create_index(
        "ix_prior_search_due", "prior_search", ["due_at"], sqlite_where=_IS_WAITING, postgresql_where=_IS_WAITING
    )


def _create_fetched_compared_value() -> None:
    op.create_table(
        "fetched_compared_value",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("film_id", _ROW_ID, nullable=False),
        sa.Column("fetched_film_id", _ROW_ID, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("code_value", sa.String(16), nullable=False),
        sa.Column("code_scheme", sa.String(16), nullable=False),
        sa.Column("code_meaning", sa.String(64), nullable=False),
        sa.Column("site", sa.JSON),
        sa.Column("laterality", sa.String(16)),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("prior_value", sa.Float, nullable=False),
        sa.Column("repeatability_limit", sa.Float),
        sa.Column("change", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fetched_compared_value"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_fetched_compared_value_film_id_film"),
        sa.ForeignKeyConstraint(
            ["fetched_film_id"], ["fetched_film.id"], name="fk_fetched_compared_value_fetched_film_id_fetched_film"
        ),
        sa.UniqueConstraint("film_id", "key", name="uq_fetched_compared_value_film_id_key"),
    )
    op.create_index("ix_fetched_compared_value_fetched_film_id", "fetched_compared_value", ["fetched_film_id"])


def downgrade() -> None:
    op.execute("DROP VIEW v1_fetched_comparisons")
    op.drop_table("fetched_compared_value")
    op.drop_table("prior_search")
    op.drop_table("fetched_film")
