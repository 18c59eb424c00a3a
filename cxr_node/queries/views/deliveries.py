"""`v1_deliveries`: one row for each result and destination."""

from cxr_node.queries.views.columns import DETAIL, NUMBER, REASON, STATE, STUDY_ID, STUDY_UID, TEXT, TIME, WHOLE
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT d.id AS delivery_id, d.destination, u.id AS result_id, u.study_id, s.study_instance_uid, u.kind, u.version,
       u.sop_class_uid, u.sop_instance_uid, u.size_bytes, u.composed_at, d.created_at, d.delivered_at,
       {dialect.seconds_between("d.created_at", "d.delivered_at")} AS delivery_s, d.status, d.confirmed_at,
       d.failure_reason, j.id AS job_id, j.state, j.reason, j.detail, j.attempts, j.due_at
FROM delivery d
JOIN result u ON u.id = d.result_id
JOIN study s ON s.id = u.study_id
LEFT JOIN job j ON j.delivery_id = d.id AND j.stage = 'deliver'
"""


DELIVERIES = View(
    name="v1_deliveries",
    row="a delivery: one result to one destination",
    time="created_at",
    newest="delivery_id",
    columns={
        "delivery_id": (WHOLE, "Number of the delivery."),
        "destination": (TEXT, "Name of the destination."),
        "result_id": (WHOLE, "Number of the result."),
        "study_id": STUDY_ID,
        "study_instance_uid": STUDY_UID,
        "kind": (TEXT, "Result kind, such as TID1500, the report."),
        "version": (WHOLE, "Version of the result among those of its study and kind, from 1."),
        "sop_class_uid": (TEXT, "SOP Class UID of the result."),
        "sop_instance_uid": (TEXT, "SOP Instance UID of the result."),
        "size_bytes": (WHOLE, "Size as a DICOM file."),
        "composed_at": (TIME, "When the result was composed."),
        "created_at": (TIME, "When the delivery was queued."),
        "delivered_at": (TIME, "When the destination accepted the result; else empty."),
        "delivery_s": (NUMBER, "Seconds from created_at to delivered_at."),
        "status": (WHOLE, "DIMSE status of the accepted C-STORE; 0 is Success."),
        "confirmed_at": (TIME, "When the destination confirmed storage commitment; else empty."),
        "failure_reason": (WHOLE, "Failure Reason (0008,1197) of a failed storage commitment; else empty."),
        "job_id": (WHOLE, "Number of the deliver job."),
        "state": (TEXT, f"State of the deliver job: {STATE}."),
        "reason": (TEXT, f"Why delivery failed: {REASON}."),
        "detail": DETAIL,
        "attempts": (WHOLE, "Attempts since the job was last queued."),
        "due_at": (TIME, "Time of the next attempt of a waiting job."),
    },
    sql=_sql,
)
