"""Status of a study: films, jobs and deliveries, and sentences that explain why it has no report."""

from typing import Any

from sqlalchemy import Connection

from cxr_node.domain.clock import local_time
from cxr_node.domain.explanations import explanations_of
from cxr_node.domain.reasons import reason_meaning
from cxr_node.queries import view_rows
from cxr_node.queries.corrections import correction_sentences
from cxr_node.queries.view_rows import equal
from cxr_node.queries.views.registry import VIEWS

Row = dict[str, Any]
_VIEWS = (
    ("films", "v1_films", "film_id"),
    ("jobs", "v1_jobs", "job_id"),
    ("deliveries", "v1_deliveries", "delivery_id"),
)
_STAGES = {"read": "reading", "compose": "composing", "deliver": "delivery to {destination}"}


def study_status(connection: Connection, study_instance_uid: str) -> Row:
    """Return the films, jobs and deliveries of a study, and a summary: sentences on what is open or failed.

    `explanations` has what each different reason of its films and jobs means, and what to do.
    """
    of_study = [equal("study_instance_uid", study_instance_uid)]
    rows = {
        name: view_rows.rows(connection, VIEWS[view], conditions=of_study, order=order) for name, view, order in _VIEWS
    }
    summary = [
        *correction_sentences(connection, study_instance_uid),
        *_not_analysed(rows["films"]),
        *_open_jobs(rows["jobs"]),
        *_newest_delivery(rows["deliveries"], rows["jobs"]),
    ]
    explained = explanations_of(reasons=[row["reason"] for row in (*rows["films"], *rows["jobs"])])
    explanations = [explanation.as_row() for explanation in explained]
    return {"study_instance_uid": study_instance_uid, "summary": summary, "explanations": explanations, **rows}


def _not_analysed(films: list[Row]) -> list[str]:
    return [
        f"film {film['film_id']} is not analysed: {reason_meaning(film['reason']) or 'no reason is recorded'}"
        + (f" ({film['detail']})" if film["detail"] else "")
        for film in films
        if film["state"] == "not_analysed"
    ]


def _open_jobs(jobs: list[Row]) -> list[str]:
    sentences = []
    for job in jobs:
        stage = _STAGES[job["stage"]].format(**job)
        detail = f": {job['detail']}" if job["detail"] else ""
        if job["state"] == "failed":
            sentences.append(f"{stage} failed{detail}; fix the cause, then `cxr-node retry {job['job_id']}`")
        elif job["state"] == "running":
            sentences.append(f"{stage} is running")
        elif job["state"] == "waiting":
            due = local_time(job["due_at"])
            sentences.append(f"{stage} is waiting, due {due}, {job['attempts']} attempts so far{detail}")
    return sentences


def _newest_delivery(deliveries: list[Row], jobs: list[Row]) -> list[str]:
    delivered = [delivery for delivery in deliveries if delivery["delivered_at"] is not None]
    if delivered:
        last = delivered[-1]
        at = local_time(last["delivered_at"])
        return [f"the newest result ({last['kind']}) was delivered to {last['destination']} on {at}"]
    composed = any(job["stage"] == "compose" and job["state"] == "done" for job in jobs)
    if composed and not deliveries:
        return ["a report was composed, but no destination accepts it; see `cxr-node route test`"]
    return [] if composed else ["no report has been composed yet"]
