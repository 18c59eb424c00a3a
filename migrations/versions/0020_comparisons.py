"""Comparisons of films with prior films, with their view, and an index that finds the films of a patient.

Nodes of the version before work with this schema: they compare nothing, and leave the comparisons of a study that they
compose anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0017"
branch_labels = None
depends_on = None

# SQLite only numbers rows by itself in a column typed INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SITE = {"sqlite": "json_extract(x.site, '$.meaning')", "postgresql": "(x.site ->> 'meaning')"}
_VIEW = """
CREATE VIEW v1_comparisons AS
SELECT x.id AS comparison_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, x.prior_film_id, p.study_id AS prior_study_id,
       p.sop_instance_uid AS prior_sop_instance_uid, x.key, x.code_value, x.code_scheme, x.code_meaning,
       {site} AS site, x.laterality, x.value, x.prior_value,
       x.value - x.prior_value AS difference, x.unit, x.repeatability_limit, x.change
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN compared_value x CROSS JOIN film p
WHERE x.film_id = f.id AND p.id = x.prior_film_id
"""


def upgrade() -> None:
    op.create_table(
        "compared_value",
        sa.Column("id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("film_id", _ROW_ID, nullable=False),
        sa.Column("prior_film_id", _ROW_ID, nullable=False),
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
        sa.PrimaryKeyConstraint("id", name="pk_compared_value"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_compared_value_film_id_film"),
        sa.ForeignKeyConstraint(["prior_film_id"], ["film.id"], name="fk_compared_value_prior_film_id_film"),
        sa.UniqueConstraint("film_id", "key", name="uq_compared_value_film_id_key"),
    )
    op.create_index("ix_compared_value_prior_film_id", "compared_value", ["prior_film_id"])
    op.create_index("ix_film_patient_key", "film", ["patient_key"])
    op.execute(_VIEW.format(site=_SITE[op.get_bind().dialect.name]).strip())


def downgrade() -> None:
    op.execute("DROP VIEW v1_comparisons")
    op.drop_index("ix_film_patient_key", "film")
    op.drop_table("compared_value")
