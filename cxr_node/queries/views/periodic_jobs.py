"""`v1_periodic_jobs`: one row for each periodic job, host and role, with its last run."""

from cxr_node.queries.views.columns import NUMBER, TEXT, TIME
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(_: Dialect) -> str:
    return """
SELECT p.name, p.host, p.role, p.started_at, p.duration_s, p.outcome, p.detail, p.next_at
FROM periodic_job p
"""


PERIODIC_JOBS = View(
    name="v1_periodic_jobs",
    row="a periodic job of a host and role, with its last run; a frequent job is recorded at most once a minute",
    time="started_at",
    newest="started_at",
    columns={
        "name": (TEXT, "Name of the job, such as leases, retention, scrub, drift or constancy."),
        "host": (TEXT, "Host that ran it."),
        "role": (TEXT, "Role whose process ran it."),
        "started_at": (TIME, "When the last recorded run started."),
        "duration_s": (NUMBER, "Seconds that it took."),
        "outcome": (TEXT, "succeeded, failed, or skipped: another host ran it."),
        "detail": (TEXT, "Why it failed."),
        "next_at": (TIME, "When it runs next."),
    },
    sql=_sql,
)
