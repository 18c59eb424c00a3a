"""Shadow mode: what a second model makes of the same films."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_SHADOWS = """
SELECT h.id AS shadow_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title,
       f.received_at, h.read_at, m.name AS model_name, m.version AS model_version, m.weights_digest, h.not_analysed,
       y.key, y.score, y.operating_point, y.presence, r.model_name AS first_model_name,
       r.model_version AS first_model_version, r.not_analysed AS first_not_analysed, x.score AS first_score,
       x.operating_point AS first_operating_point, x.presence AS first_presence,
       (y.score >= y.operating_point) <> (x.score >= x.operating_point) AS differs
FROM shadow h
JOIN film f ON f.id = h.film_id
JOIN study s ON s.id = f.study_id
JOIN model m ON m.id = h.model_id
LEFT JOIN shadow_finding y ON y.shadow_id = h.id
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
LEFT JOIN finding x ON x.reading_id = r.id AND x.key = y.key
"""


def upgrade() -> None:
    op.create_table(
        "shadow_progress",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("reading_id", _ID, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_progress"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_shadow_progress_model_id_model"),
        sa.UniqueConstraint("model_id", name="uq_shadow_progress_model_id"),
    )
    op.create_table(
        "shadow",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("film_id", _ID, nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_analysed", sa.String(16)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shadow"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_shadow_model_id_model"),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name="fk_shadow_film_id_film"),
        sa.UniqueConstraint("film_id", "model_id", name="uq_shadow_film_id_model_id"),
    )
    op.create_index("ix_shadow_model_id_read_at", "shadow", ["model_id", "read_at"])
    op.create_table(
        "shadow_finding",
        _id(),
        sa.Column("shadow_id", _ID, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("operating_point", sa.Float, nullable=False),
        sa.Column("presence", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_finding"),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadow.id"], name="fk_shadow_finding_shadow_id_shadow"),
        sa.UniqueConstraint("shadow_id", "key", name="uq_shadow_finding_shadow_id_key"),
    )
    op.execute(sa.text(f"CREATE VIEW v1_shadow AS {_SHADOWS}"))


def downgrade() -> None:
    op.execute("DROP VIEW v1_shadow")
    for name in ("shadow_finding", "shadow", "shadow_progress"):
        op.drop_table(name)


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)
