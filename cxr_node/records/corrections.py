"""Films that came again with another patient, study or order, until a person accepts them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.states import State
from cxr_node.db.tables import film, job, study
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.records import readings

_IS_WAITING = (job.c.film_id == film.c.id, job.c.state == State.NOT_ANALYSED, job.c.reason == Reason.CORRECTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A copy of a film with another patient, study or order; `detail` names what differs."""

    film_id: int
    job_id: int
    sop_instance_uid: Uid
    detail: str


def waiting(connection: Connection, study_instance_uid: Uid) -> list[Correction]:
    """Return the newest correction of each film of a study, by the study of the corrected copy."""
    query = (
        select(film.c.id, job.c.id, film.c.sop_instance_uid, job.c.detail)
        .join(study, film.c.study_id == study.c.id)
        .join(job, job.c.film_id == film.c.id)
        .where(study.c.study_instance_uid == study_instance_uid, *_IS_WAITING)
        .order_by(film.c.id)
    )
    newest = {
        uid: Correction(film_id=film_id, job_id=job_id, sop_instance_uid=Uid(uid), detail=detail)
        for film_id, job_id, uid, detail in connection.execute(query)
    }
    return list(newest.values())


def count_waiting(connection: Connection, *, since: datetime) -> int:
    """Return the number of corrections found since then that nobody has accepted."""
    query = select(func.count()).select_from(film).join(job, job.c.film_id == film.c.id)
    return connection.execute(query.where(*_IS_WAITING, job.c.ended_at >= since)).scalar_one()


def accept(transaction: Transaction, correction: Correction, *, actor: str, now: datetime) -> None:
    """Let a corrected copy take the place of the first film, and queue it to be read.

    No bytes change: the row that counts is another. The results of its study follow from its reading, and name the
    earlier ones as predecessors.
    """
    connection = transaction.connection
    same_uid = film.c.sop_instance_uid == correction.sop_instance_uid
    connection.execute(update(film).where(same_uid, film.c.is_original.is_(True)).values(is_original=False))
    connection.execute(update(film).where(film.c.id == correction.film_id).values(is_original=True))
    readings.delete_not_analysed(connection, correction.film_id)
    queue.requeue(transaction, [correction.job_id], actor=actor, now=now)
