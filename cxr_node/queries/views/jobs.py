"""`v1_jobs`: one row for each job."""

from cxr_node.queries.views.columns import DETAIL, REASON, STATE, STUDY_UID, TEXT, TIME, WHOLE
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT j.id AS job_id, j.stage, j.state, j.reason, j.detail, j.priority, j.attempts, j.crashes,
       j.created_at, j.queued_at, j.due_at, j.ended_at, j.lease_owner, j.lease_until,
       j.film_id, j.of_study_id AS study_id, j.delivery_id, s.study_instance_uid,
       coalesce(f.sop_instance_uid, u.sop_instance_uid, c.transaction_uid) AS sop_instance_uid,
       {dialect.varchar("coalesce(f.calling_ae_title, c.calling_ae_title)")} AS calling_ae_title, d.destination,
       {dialect.minus_seconds("j.due_at", "j.priority")} AS claim_order
FROM job j
LEFT JOIN study s ON s.id = j.of_study_id
LEFT JOIN film f ON f.id = j.film_id
LEFT JOIN delivery d ON d.id = j.delivery_id
LEFT JOIN result u ON u.id = d.result_id
LEFT JOIN commitment c ON c.id = j.commitment_id
"""


JOBS = View(
    name="v1_jobs",
    row="a job: one stage applied to a film, study, delivery or storage commitment request",
    time="created_at",
    newest="job_id",
    columns={
        "job_id": (WHOLE, "Number of the job."),
        "stage": (TEXT, "read, compose, deliver or commit."),
        "state": (TEXT, f"State: {STATE}."),
        "reason": (TEXT, f"Why the film was not analysed or the job failed: {REASON}."),
        "detail": DETAIL,
        "priority": (WHOLE, "Priority boost in seconds."),
        "attempts": (WHOLE, "Claims since the job was last queued."),
        "crashes": (WHOLE, "Attempts that ended with the death of the worker."),
        "created_at": (TIME, "When the job was first queued."),
        "queued_at": (TIME, "When the job was last queued."),
        "due_at": (TIME, "Earliest time at which the job can be claimed."),
        "ended_at": (TIME, "When the job ended; else empty."),
        "lease_owner": (TEXT, "Process that has claimed the job; else empty."),
        "lease_until": (TIME, "When the lease of the claim expires."),
        "film_id": (WHOLE, "Number of the film of a read job; else empty."),
        "study_id": (WHOLE, "Number of the study; empty for commit jobs."),
        "delivery_id": (WHOLE, "Number of the delivery of a deliver job; else empty."),
        "study_instance_uid": STUDY_UID,
        "sop_instance_uid": (
            TEXT,
            "SOP Instance UID of film or result; for commit jobs the Transaction UID (0008,1195).",
        ),
        "calling_ae_title": (TEXT, "AE title of the sender of the film or of the commitment request."),
        "destination": (TEXT, "Name of the destination of a deliver job; else empty."),
        "claim_order": (TIME, "Waiting jobs are claimed in ascending order of this time: due_at less priority."),
    },
    sql=_sql,
)
