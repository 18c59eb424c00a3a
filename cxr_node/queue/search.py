"""Search of jobs and their events, read-only."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from cxr_node.db.row_ids import RowIds
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import commitment, delivery, film, job, job_event, reading, result, study


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job with its study, object and state; a read job with the model of the newest reading.

    Its sender is that of the film, or of the first film of its study. A commit job has no study; its `sop_instance_uid`
    is the Transaction UID (0008,1195).
    """

    job_id: int
    stage: Stage
    film_id: int | None
    study_id: int | None
    state: State
    reason: str | None
    detail: str
    priority: int
    attempts: int
    due_at: datetime
    created_at: datetime
    ended_at: datetime | None
    study_instance_uid: str
    sop_instance_uid: str | None
    calling_ae_title: str | None
    destination: str | None
    model_name: str | None
    model_version: str | None
    weights_digest: str | None
    preparation: str | None
    operating_points: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event of a job."""

    at: datetime
    event: str
    state: State
    actor: str
    detail: str


def jobs(
    connection: Connection, *, state: State | None = None, stage: Stage | None = None, limit: int = 50
) -> list[JobRow]:
    """Return jobs, the newest first, optionally of one state or stage."""
    query = _jobs()
    if state is not None:
        query = query.where(job.c.state == state)
    if stage is not None:
        query = query.where(job.c.stage == stage)
    rows = connection.execute(query.order_by(job.c.id.desc()).limit(limit))
    return [_row(columns) for columns in rows.mappings()]


def one(connection: Connection, job_id: int) -> JobRow | None:
    """Return the job with this id, or None."""
    columns = connection.execute(_jobs().where(job.c.id == job_id)).mappings().first()
    return None if columns is None else _row(columns)


def events(connection: Connection, job_id: int) -> list[EventRow]:
    """Return the events of a job, the oldest first."""
    columns = (job_event.c[field.name] for field in fields(EventRow))
    rows = connection.execute(select(*columns).where(job_event.c.job_id == job_id).order_by(job_event.c.id))
    return [EventRow(**{**row, "state": State(row["state"])}) for row in rows.mappings()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Number of jobs of a stage with a state and reason; `reason` is empty if there is none."""

    stage: Stage
    state: State
    reason: str
    jobs: int


def counts(connection: Connection) -> list[Count]:
    """Return the number of jobs by stage, state and coded reason."""
    reason = func.coalesce(job.c.reason, "")
    groups = (job.c.stage, job.c.state, reason)
    rows = connection.execute(select(*groups, func.count()).group_by(*groups).order_by(*groups))
    return [
        Count(stage=Stage(stage), state=State(state), reason=str(code), jobs=number)
        for stage, state, code, number in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGroup:
    """Number of jobs of a stage and state, of deliveries by destination; `destination` is empty for other stages."""

    stage: Stage
    destination: str
    state: State
    jobs: int


def groups(connection: Connection, job_ids: RowIds) -> list[JobGroup]:
    """Return the number of these jobs by stage, destination and state."""
    destination = func.coalesce(delivery.c.destination, "")
    columns = (job.c.stage, destination, job.c.state)
    query = select(*columns, func.count()).select_from(job).outerjoin(delivery, job.c.delivery_id == delivery.c.id)
    rows = connection.execute(query.where(job.c.id.in_(job_ids)).group_by(*columns).order_by(*columns))
    return [
        JobGroup(stage=Stage(stage), destination=name, state=State(state), jobs=number)
        for stage, name, state, number in rows
    ]


def job_ids(connection: Connection, chosen: RowIds) -> list[int]:
    """Return the numbers of these jobs in ascending order."""
    return list(connection.execute(select(job.c.id).where(job.c.id.in_(chosen)).order_by(job.c.id)).scalars())


_MODEL = (
    reading.c.model_name,
    reading.c.model_version,
    reading.c.weights_digest,
    reading.c.preparation,
    reading.c.operating_points,
)


def _jobs() -> Select[Any]:
    other = reading.alias("other")
    newest = (select(func.max(other.c.id)).where(other.c.film_id == job.c.film_id).correlate(job)).scalar_subquery()
    sent = film.alias("sent")
    first = select(sent.c.calling_ae_title).where(sent.c.study_id == job.c.of_study_id).order_by(sent.c.id).limit(1)
    sender = first.correlate(job).scalar_subquery()
    return (
        select(
            job,
            func.coalesce(study.c.study_instance_uid, "").label("study_instance_uid"),
            func.coalesce(film.c.sop_instance_uid, result.c.sop_instance_uid, commitment.c.transaction_uid).label(
                "sop_instance_uid"
            ),
            func.coalesce(film.c.calling_ae_title, commitment.c.calling_ae_title, sender).label("calling_ae_title"),
            delivery.c.destination,
            *_MODEL,
        )
        .select_from(job)
        .outerjoin(film, job.c.film_id == film.c.id)
        .outerjoin(reading, reading.c.id == newest)
        .outerjoin(delivery, job.c.delivery_id == delivery.c.id)
        .outerjoin(result, delivery.c.result_id == result.c.id)
        .outerjoin(commitment, job.c.commitment_id == commitment.c.id)
        .outerjoin(study, study.c.id == job.c.of_study_id)
    )


def _row(columns: RowMapping) -> JobRow:
    converted = {"job_id": columns["id"], "stage": Stage(columns["stage"]), "state": State(columns["state"])}
    converted["study_id"] = columns["of_study_id"]
    names = (field.name for field in fields(JobRow) if field.name not in converted)
    return JobRow(**converted, **{name: columns[name] for name in names})
