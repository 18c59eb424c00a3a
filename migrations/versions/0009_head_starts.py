"""Which jobs go first, and which study each is of; views that PostgreSQL answers from indexes alone.

Nothing is taken away that a node of the version before writes or reads, so both may work on one database. What such a
node writes does not say which study a job is of: see `jobs/fill.py`.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WAITING = "state = 'waiting'"
_UNNAMED = "of_study_id IS NULL AND stage <> 'answer'"
_TURN = {
    "sqlite": "(julianday(due_at) - priority / 86400.0)",
    "postgresql": "((due_at AT TIME ZONE 'UTC') - priority * '00:00:01'::interval)",
}
# The oldest revision whose nodes may work on this schema; a migration that takes something away makes the view anew.
_FLOOR = "0008"
# As in the migration that made them: what SQLite's planner is to assume.
_EXPECTED = (
    ("ix_job_of_study_id", "3000000 3"),
    ("ix_job_turn", "1000 300 2 1"),
    ("ix_job_due", "1000 300 2"),
)

_JOBS = """
SELECT j.id AS job_id, j.stage, j.state, j.reason, j.detail, j.priority, j.attempts, j.crashes,
       j.created_at, j.queued_at, j.due_at, j.ended_at, j.lease_owner, j.lease_until,
       j.film_id, j.of_study_id AS study_id, j.delivery_id, s.study_instance_uid,
       coalesce(f.sop_instance_uid, u.sop_instance_uid, c.transaction_uid) AS sop_instance_uid,
       [[varchar coalesce(f.calling_ae_title,c.calling_ae_title)]] AS calling_ae_title, d.destination,
       [[before j.due_at j.priority]] AS turn_at
FROM job j
LEFT JOIN study s ON s.id = j.of_study_id
LEFT JOIN film f ON f.id = j.film_id
LEFT JOIN delivery d ON d.id = j.delivery_id
LEFT JOIN result u ON u.id = d.result_id
LEFT JOIN commitment c ON c.id = j.commitment_id
"""

# PostgreSQL alone: each row's times are looked up once, not once for every place where one is used.
_TURNAROUND = """
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       [[day f.received_at]] AS received_day, k.claimed_at, j.ended_at AS read_at, o.composed_at, o.delivered_at,
       j.state, j.reason,
       [[seconds f.received_at k.claimed_at]] AS wait_s, [[seconds k.claimed_at j.ended_at]] AS read_s,
       [[seconds j.ended_at o.composed_at]] AS compose_s, [[seconds o.composed_at o.delivered_at]] AS deliver_s,
       [[seconds f.received_at o.delivered_at]] AS total_s
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id
LEFT JOIN LATERAL (
    SELECT min(e.at) AS claimed_at FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed'
) k ON true
LEFT JOIN LATERAL (
    SELECT min(u.composed_at) AS composed_at, min(d.delivered_at) AS delivered_at
    FROM result u LEFT JOIN delivery d ON d.result_id = u.id
    WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at
) o ON true
"""

_SQLITE = {
    "varchar": "{0}",
    "before": "strftime('%Y-%m-%d %H:%M:%f000', {0}, '-' || {1} || ' seconds')",
}
_POSTGRESQL = {
    "varchar": "CAST({0} AS varchar)",
    "before": "{0} - {1} * interval '1 second'",
    "day": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "seconds": "CAST(round(extract(epoch FROM {1} - {0}), 3) AS double precision)",
}


# Columns one by one: a batch would make the tables anew, which SQLite refuses where rows refer to them, and which
# would lose the index on an expression.
def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("study", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("of_study_id", _ID, nullable=True))
    op.create_index("ix_job_of_study_id", "job", ["of_study_id"])
    _partial("ix_job_unnamed", ["id"], _UNNAMED)
    turn = sa.text(_TURN["sqlite" if is_sqlite else "postgresql"])
    _partial("ix_job_turn", ["stage", turn, "id"], _WAITING)
    _partial("ix_job_due", ["stage", "due_at"], _WAITING)
    op.drop_index("ix_job_waiting", table_name="job")
    op.drop_index("ix_job_leg_state", table_name="job")
    if is_sqlite:
        for index, expected in _EXPECTED:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('job', '{index}', '{expected}')")
        op.execute("DROP VIEW v1_jobs")
        _view("CREATE VIEW v1_jobs", _JOBS, _SQLITE)
    else:
        # In place, so that who was granted them keeps them.
        _view("CREATE OR REPLACE VIEW v1_jobs", _JOBS, _POSTGRESQL)
        _view("CREATE OR REPLACE VIEW v1_turnaround", _TURNAROUND, _POSTGRESQL)
    # A view and not a table: it belongs to the schema, and is not copied with the rows.
    op.execute(f"CREATE VIEW schema_floor AS SELECT '{_FLOOR}' AS oldest")


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute("DROP VIEW schema_floor")
    op.execute("DROP VIEW v1_jobs")
    if is_sqlite:
        for index, _ in _EXPECTED:
            op.execute(f"DELETE FROM sqlite_stat1 WHERE idx = '{index}'")
    op.create_index("ix_job_leg_state", "job", ["stage", "state", "id"])
    _partial("ix_job_waiting", ["stage", sa.text("priority DESC"), "due_at", "id"], _WAITING)
    for name in ("ix_job_due", "ix_job_turn", "ix_job_unnamed", "ix_job_of_study_id"):
        op.drop_index(name, table_name="job")
    op.drop_column("job", "of_study_id")
    op.drop_column("study", "priority")
    # The views as they were: said in the migration that made them.
    script = op.get_context().script
    before = script.get_revision("0006") if script is not None else None
    if before is None:
        raise RuntimeError("the migration that made the views is not there")
    views = vars(before.module)
    said = views["_said"](views["_VIEWS"]["v1_jobs"], views["_SQLITE" if is_sqlite else "_POSTGRESQL"])
    op.execute(sa.text(f"CREATE VIEW v1_jobs AS {said}".replace(":", r"\:")))
    if not is_sqlite:
        said = views["_said"](views["_VIEWS"]["v1_turnaround"], views["_POSTGRESQL"])
        op.execute(sa.text(f"CREATE OR REPLACE VIEW v1_turnaround AS {said}".replace(":", r"\:")))


def _partial(name: str, columns: list[str | sa.TextClause], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, "job", columns, unique=False, sqlite_where=only, postgresql_where=only)


def _view(verb: str, query: str, words: dict[str, str]) -> None:
    """Make a view in one database's words."""

    def one(match: re.Match[str]) -> str:
        word, *arguments = match[1].split()
        return words[word].format(*arguments)

    said = re.sub(r"\[\[(.+?)\]\]", one, query)
    op.execute(sa.text(f"{verb} AS {said}".replace(":", r"\:")))
