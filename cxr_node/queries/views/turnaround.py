"""`v1_turnaround`: times from reception to delivery, one row a film."""

from cxr_node.queries.views.columns import FILM, NUMBER, READ_JOB, RECEIVED_DAY, TIME
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.sql import is_not_constancy_film
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return _with_lateral_joins(dialect) if dialect.name == "postgresql" else _with_subqueries(dialect)


def _with_subqueries(dialect: Dialect) -> str:
    after_reading = "u.study_id = f.study_id AND u.composed_at >= j.ended_at"
    return f"""
SELECT t.film_id, t.study_id, t.study_instance_uid, t.sop_instance_uid, t.calling_ae_title, t.received_at,
       t.received_day, t.claimed_at, t.read_at, t.composed_at, t.delivered_at, t.state, t.reason,
       {_durations(dialect, "t.received_at", "t.claimed_at", "t.read_at", "t.composed_at", "t.delivered_at")}
FROM (
    SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
           {dialect.day("f.received_at")} AS received_day,
           (SELECT min(e.at) FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed') AS claimed_at,
           j.ended_at AS read_at,
           (SELECT min(u.composed_at) FROM result u WHERE {after_reading}) AS composed_at,
           (SELECT min(d.delivered_at) FROM result u JOIN delivery d ON d.result_id = u.id
            WHERE {after_reading}) AS delivered_at,
           j.state, j.reason
    FROM film f
    JOIN study s ON s.id = f.study_id
    LEFT JOIN job j ON j.film_id = f.id
) t
WHERE {is_not_constancy_film("t.film_id")}
"""


def _with_lateral_joins(dialect: Dialect) -> str:
    # PostgreSQL would run a subquery again at each use of its column; a lateral join runs once a row.
    return f"""
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       {dialect.day("f.received_at")} AS received_day, k.claimed_at, j.ended_at AS read_at, o.composed_at,
       o.delivered_at, j.state, j.reason,
       {_durations(dialect, "f.received_at", "k.claimed_at", "j.ended_at", "o.composed_at", "o.delivered_at")}
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
WHERE {is_not_constancy_film("f.id")}
"""


def _durations(dialect: Dialect, received: str, claimed: str, read: str, composed: str, delivered: str) -> str:
    seconds = dialect.seconds_between
    return f"""{seconds(received, claimed)} AS wait_s, {seconds(claimed, read)} AS read_s,
       {seconds(read, composed)} AS compose_s, {seconds(composed, delivered)} AS deliver_s,
       {seconds(received, delivered)} AS total_s"""


TURNAROUND = View(
    name="v1_turnaround",
    row="a film with its times from reception to delivery",
    time="received_at",
    newest="film_id",
    columns={
        **FILM,
        "received_day": RECEIVED_DAY,
        "claimed_at": (TIME, "When a reader first claimed the film."),
        "read_at": (TIME, "When the read job ended."),
        "composed_at": (TIME, "When the first result of the study after that was composed."),
        "delivered_at": (TIME, "When the first of the results after that was delivered."),
        **READ_JOB,
        "wait_s": (NUMBER, "Seconds from received_at to claimed_at."),
        "read_s": (NUMBER, "Seconds from claimed_at to read_at."),
        "compose_s": (NUMBER, "Seconds from read_at to composed_at, including the study window."),
        "deliver_s": (NUMBER, "Seconds from composed_at to delivered_at."),
        "total_s": (NUMBER, "Seconds from received_at to delivered_at."),
    },
    sql=_sql,
)
