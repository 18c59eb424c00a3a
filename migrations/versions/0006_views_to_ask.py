"""Views of version 1, for people to ask; and the indexes that answer them at once."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_film_received_at", "film", ["received_at"], ""),
    ("ix_film_calling_ae_title_received_at", "film", ["calling_ae_title", "received_at"], ""),
    ("ix_job_state", "job", ["state", "id"], ""),
    ("ix_job_stage", "job", ["stage", "id"], ""),
    ("ix_job_leg_state", "job", ["stage", "state", "id"], ""),
    ("ix_job_ended_at", "job", ["ended_at"], ""),
    ("ix_job_created_at", "job", ["created_at"], ""),
    ("ix_reading_not_analysed", "reading", ["not_analysed", "film_id"], "not_analysed IS NOT NULL"),
    ("ix_delivery_created_at", "delivery", ["created_at"], ""),
    ("ix_delivery_destination_delivered_at", "delivery", ["destination", "delivered_at"], ""),
)

# What both databases understand, but for the words in double square brackets: see _SQLITE and _POSTGRESQL.
_NEWEST = "(SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)"
_OF_READING = f"""
       r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, [[day f.received_at]] AS received_day, r.read_at,
       r.model_name, r.model_version, r.weights_digest, r.id = {_NEWEST} AS is_newest
"""
# To SQLite, CROSS JOIN says which comes first: it would begin with the findings, which are the most, and sort.
_FROM_READING = (
    "FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN {0} x"
    " WHERE r.film_id = f.id AND x.reading_id = r.id"
)

_NO_ID, _NO_TEXT = "CAST(NULL AS BIGINT)", "CAST(NULL AS VARCHAR(64))"
_JOB = """
SELECT j.id AS job_id, j.stage, j.state, j.reason, j.detail, j.priority, j.attempts, j.crashes,
       j.created_at, j.queued_at, j.due_at, j.ended_at, j.lease_owner, j.lease_until,
       {subject}
"""
# Each part says its stage, so that jobs in order, of one state or of any, come out of an index.
_JOBS = " UNION ALL ".join(
    f"{_JOB.format(subject=subject)} {joined}"
    for subject, joined in (
        (
            f"""j.film_id, f.study_id, {_NO_ID} AS delivery_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, {_NO_TEXT} AS destination
""",
            "FROM job j JOIN film f ON f.id = j.film_id JOIN study s ON s.id = f.study_id WHERE j.stage = 'read'",
        ),
        (
            f"{_NO_ID}, j.study_id, {_NO_ID}, s.study_instance_uid, {_NO_TEXT}, {_NO_TEXT}, {_NO_TEXT}",
            "FROM job j JOIN study s ON s.id = j.study_id WHERE j.stage = 'compose'",
        ),
        (
            f"{_NO_ID}, u.study_id, j.delivery_id, s.study_instance_uid, u.sop_instance_uid, {_NO_TEXT}, d.destination",
            """
FROM job j JOIN delivery d ON d.id = j.delivery_id JOIN result u ON u.id = d.result_id
JOIN study s ON s.id = u.study_id WHERE j.stage = 'deliver'
""",
        ),
        (
            f"{_NO_ID}, {_NO_ID}, {_NO_ID}, {_NO_TEXT}, c.transaction_uid, c.calling_ae_title, {_NO_TEXT}",
            "FROM job j JOIN commitment c ON c.id = j.commitment_id WHERE j.stage = 'answer'",
        ),
    )
)

_COMPOSED = "(SELECT min(u.composed_at) FROM result u WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at)"
_DELIVERED = """(SELECT min(d.delivered_at) FROM result u JOIN delivery d ON d.result_id = u.id
    WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at)"""
_CLAIMED = "(SELECT min(e.at) FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed')"

_VIEWS = {
    "v1_films": f"""
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.sop_class_uid,
       f.transfer_syntax_uid, f.calling_ae_title, f.called_ae_title, f.address, f.received_at,
       [[day f.received_at]] AS received_day, [[hour f.received_at]] AS received_hour, f.size_bytes, f.is_original,
       f.removed_at, j.id AS job_id, j.state, j.reason, j.detail, r.id AS reading_id, r.read_at,
       [[text r.geometry view]] AS view, [[integer r.geometry rows]] AS film_rows,
       [[integer r.geometry columns]] AS film_columns, r.model_name, r.model_version, r.weights_digest
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id AND j.stage = 'read'
LEFT JOIN reading r ON r.id = {_NEWEST}
""",
    "v1_jobs": _JOBS,
    "v1_findings": f"""
SELECT x.id AS finding_id, {_OF_READING},
       x.key, x.code_value, x.code_scheme, x.code_meaning, [[text x.site meaning]] AS site, x.laterality,
       x.score, x.operating_point, x.presence, x.calibrated
{_FROM_READING.format("finding")}
""",
    "v1_measurements": f"""
SELECT x.id AS measurement_id, {_OF_READING},
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, [[text x.site meaning]] AS site, x.laterality,
       x.value, [[text x.unit value]] AS unit, x.provenance
{_FROM_READING.format("measurement")}
""",
    "v1_deliveries": """
SELECT d.id AS delivery_id, d.destination, u.id AS result_id, u.study_id, s.study_instance_uid, u.kind, u.version,
       u.sop_class_uid, u.sop_instance_uid, u.size_bytes, u.composed_at, d.created_at, d.delivered_at,
       [[seconds d.created_at d.delivered_at]] AS delivery_s, d.status, d.confirmed_at, d.denied,
       j.id AS job_id, j.state, j.reason, j.detail, j.attempts, j.due_at
FROM delivery d
JOIN result u ON u.id = d.result_id
JOIN study s ON s.id = u.study_id
LEFT JOIN job j ON j.delivery_id = d.id AND j.stage = 'deliver'
""",
    "v1_turnaround": f"""
SELECT t.film_id, t.study_id, t.study_instance_uid, t.sop_instance_uid, t.calling_ae_title, t.received_at,
       t.received_day, t.claimed_at, t.read_at, t.composed_at, t.delivered_at, t.state, t.reason,
       [[seconds t.received_at t.claimed_at]] AS wait_s, [[seconds t.claimed_at t.read_at]] AS read_s,
       [[seconds t.read_at t.composed_at]] AS compose_s, [[seconds t.composed_at t.delivered_at]] AS deliver_s,
       [[seconds t.received_at t.delivered_at]] AS total_s
FROM (
    SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
           [[day f.received_at]] AS received_day, {_CLAIMED} AS claimed_at, j.ended_at AS read_at,
           {_COMPOSED} AS composed_at, {_DELIVERED} AS delivered_at, j.state, j.reason
    FROM film f
    JOIN study s ON s.id = f.study_id
    LEFT JOIN job j ON j.film_id = f.id
) t
""",
}

_SQLITE = {
    "day": "strftime('%Y-%m-%d', {0})",
    "hour": "CAST(strftime('%H', {0}) AS INTEGER)",
    "text": "json_extract({0}, '$.{1}')",
    "integer": "json_extract({0}, '$.{1}')",
    "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
}
_POSTGRESQL = {
    "day": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "hour": "CAST(extract(hour FROM {0} AT TIME ZONE 'UTC') AS integer)",
    "text": "({0} ->> '{1}')",
    "integer": "CAST({0} ->> '{1}' AS integer)",
    "seconds": "CAST(round(extract(epoch FROM {1} - {0}), 3) AS double precision)",
}


# What SQLite's planner is to assume of a large node: rows, and rows of one value of the index's first column, of its
# first two, and so on; of states those that are asked for, not the many that are done. Without, it takes ten rows for
# each value of any index, and would look for a study among the jobs of a stage. Nobody runs ANALYZE.
_EXPECTED = (
    ("job", "ix_job_stage", "3000000 1000000 1"),
    ("job", "ix_job_leg_state", "3000000 1000000 1000 1"),
    ("job", "ix_job_state", "3000000 1000 1"),
    ("job", "ix_job_ended_at", "3000000 1"),
    ("job", "ix_job_created_at", "3000000 1"),
    ("job", "ix_job_study_id", "3000000 2"),
    ("film", "ix_film_study_id", "1000000 2"),
    ("film", "ix_film_received_at", "1000000 1"),
    ("film", "ix_film_calling_ae_title_received_at", "1000000 100000 1"),
    ("reading", "ix_reading_film_id", "1000000 1"),
    ("delivery", "ix_delivery_created_at", "1000000 1"),
    ("delivery", "ix_delivery_destination_delivered_at", "1000000 300000 1"),
)


def upgrade() -> None:
    for name, table, columns, where in _INDEXES:
        only = sa.text(where) if where else None
        op.create_index(name, table, columns, unique=False, sqlite_where=only, postgresql_where=only)
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    words = _SQLITE if is_sqlite else _POSTGRESQL
    if is_sqlite:
        op.execute("ANALYZE sqlite_schema")
        for table, index, expected in _EXPECTED:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{expected}')")
    for name, query in _VIEWS.items():
        op.execute(sa.text(f"CREATE VIEW {name} AS {_said(query, words)}".replace(":", r"\:")))


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW {name}")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1")
    for name, table, _, _ in reversed(_INDEXES):
        op.drop_index(name, table_name=table)


def _said(query: str, words: dict[str, str]) -> str:
    """Return a query in one database's words."""

    def one(match: re.Match[str]) -> str:
        word, *arguments = match[1].split()
        return words[word].format(*arguments)

    return re.sub(r"\[\[(.+?)\]\]", one, query)
