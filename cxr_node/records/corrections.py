"""Films that came again with another patient, study or order: the corrected copy takes the place of the first."""

from datetime import datetime

from sqlalchemy import select, update

from cxr_node.db.database import Transaction
from cxr_node.db.tables import film
from cxr_node.domain.film import Film
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.records import films, readings, results, withdrawals


def issue_anew(transaction: Transaction, film_id: int, *, detail: str, actor: str, now: datetime) -> None:
    """Let a corrected copy take the place of the first film, and withdraw the results of the study of the first.

    No bytes change: the row that counts is another. Results follow from the reading of the copy.
    """
    first = _take_place(transaction, film_id)
    if first is not None:
        withdrawals.withdraw(transaction, first.study_id, RejectionTitle.WORKLIST, detail=detail, actor=actor, now=now)


def follow_archive(transaction: Transaction, film_id: int, *, now: datetime) -> bool:
    """Let a corrected copy take the place of the first film; return whether its results are the archive's.

    They are if there are any: then the reading moves to the copy, and results stay as they are. If not, the copy is to
    be read and reported as any film.
    """
    connection = transaction.connection
    first = _take_place(transaction, film_id)
    copy = films.get(connection, film_id)
    if not copy.is_original:
        return True
    if first is None or not _is_reported(transaction, first, copy):
        return False
    reading = readings.latest(connection, first.film_id, copy.identity)
    if reading is not None:
        readings.write(transaction, film_id, reading, now=now)
    return reading is not None


def _is_reported(transaction: Transaction, first: Film, copy: Film) -> bool:
    """Whether the results of the first film are there, or are composed of the copy: it is in the same study."""
    reported = results.of_study(transaction.connection, first.study_id)
    return first.study_id == copy.study_id or any(one.composed_at > first.received_at for one in reported)


def _take_place(transaction: Transaction, film_id: int) -> Film | None:
    """Make a copy the original of its SOP Instance UID; return the original until then.

    None if the copy is the original, or another one that was received after it: the last received is right.
    """
    connection = transaction.connection
    copy = films.get(connection, film_id)
    same_uid = film.c.sop_instance_uid == copy.identity.sop_instance_uid
    # Of two copies at the same moment, the second waits here, and then finds the first as the original.
    withdrawals.lock(transaction, connection.execute(select(film.c.study_id).where(same_uid)).scalars().all())
    original = connection.execute(select(film.c.id).where(same_uid, film.c.is_original.is_(True))).scalar()
    if original is not None and original >= film_id:
        return None
    first = None if original is None else films.get(connection, original)
    connection.execute(update(film).where(same_uid, film.c.is_original.is_(True)).values(is_original=False))
    connection.execute(update(film).where(film.c.id == film_id).values(is_original=True))
    return first
