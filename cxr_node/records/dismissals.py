"""Jobs and films that a person dismisses: they are not run, read or opened any more, and the others go on."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select

from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import film, job, reading
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.records import films, readings


def dismiss_jobs(
    transaction: Transaction, job_ids: Sequence[int], *, detail: str, actor: str, now: datetime
) -> list[int]:
    """End jobs in whatever state; return those that were not dismissed yet.

    A film that has never been read is not analysed then (DISMISSED), and the results of its study say so.
    """
    dismissed = queue.dismiss(transaction, job_ids, reason=Reason.DISMISSED, detail=detail, actor=actor, now=now)
    for one in dismissed:
        if one.stage is Stage.READ and not _is_read(transaction, one.subject_id):
            _write_reading(transaction, one.subject_id, detail=detail, now=now)
    return [one.job_id for one in dismissed]


def dismiss_film(
    transaction: Transaction, sop_instance_uid: Uid, *, detail: str, actor: str, now: datetime
) -> list[int]:
    """Dismiss the films of a SOP Instance UID; return their numbers.

    They are not analysed any more, also if they were, and their files are not opened for a result. The results of
    their studies are composed anew.
    """
    rows = transaction.connection.execute(
        select(film.c.id, job.c.id)
        .join(job, job.c.film_id == film.c.id)
        .where(film.c.sop_instance_uid == sop_instance_uid)
        .order_by(film.c.id)
    ).all()
    job_ids = [job_id for _, job_id in rows]
    dismissed = queue.dismiss(transaction, job_ids, reason=Reason.DISMISSED, detail=detail, actor=actor, now=now)
    for one in dismissed:
        _write_reading(transaction, one.subject_id, detail=detail, now=now)
    return sorted(one.subject_id for one in dismissed)


def _is_read(transaction: Transaction, film_id: int) -> bool:
    return bool(transaction.connection.execute(select(exists().where(reading.c.film_id == film_id))).scalar())


def _write_reading(transaction: Transaction, film_id: int, *, detail: str, now: datetime) -> None:
    row = films.get(transaction.connection, film_id)
    dismissed = Reading(
        film=row.identity, geometry=None, grayscale="", prediction=None, not_analysed=Reason.DISMISSED, detail=detail
    )
    readings.write(transaction, film_id, dismissed, now=now)
    queue.add_compose(transaction, row.study_id, due_at=now, now=now)
