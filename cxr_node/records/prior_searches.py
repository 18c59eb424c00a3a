"""Searches for prior films at other archives: what is due, and how each ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Update, exists, insert, select, update

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.database import Transaction
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.prior_tables import IS_UNREAD, IS_WAITING, fetched_film, prior_search
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import film, job
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.prior_search import ENDED, SearchState
from cxr_node.queue import queue


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSearch:
    """A search that is due; `unsuitable` are SOP Instance UIDs that are not tried again."""

    search_id: int
    film_id: int
    unsuitable: frozenset[str]
    attempts: int
    until: datetime
    detail: str = ""


def request(transaction: Transaction, film_id: int, *, until: datetime, now: datetime) -> None:
    """Search for the prior film of a film that was read; one that was fetched before is read again, by the same model.

    Films of constancy checks have no prior.
    """
    connection = transaction.connection
    known = connection.execute(select(prior_search).where(prior_search.c.film_id == film_id)).first()
    if known is not None:
        _read_again(transaction, known)
        return
    if connection.execute(select(film.c.id).where(film.c.id == film_id, is_not_constancy_film())).first() is None:
        return
    values = {"state": SearchState.WAITING, "unsuitable": [], "attempts": 0, "due_at": now, "until": until}
    texts = {"source": "", "detail": "", "created_at": now}
    connection.execute(insert(prior_search).values(film_id=film_id, **values, **texts))


def _read_again(transaction: Transaction, search: Row[tuple[object, ...]]) -> None:
    if search.state != SearchState.READ or search.fetched_film_id is None:
        return
    unread = {"read_at": None, "reading": None, "attempts": 0}
    of_search = fetched_film.c.id == search.fetched_film_id, fetched_film.c.removed_at.is_(None)
    if transaction.connection.execute(update(fetched_film).where(*of_search).values(unread)).rowcount:
        again = update(prior_search).where(prior_search.c.fetched_film_id == search.fetched_film_id)
        transaction.connection.execute(again.values(state=SearchState.FETCHED, ended_at=None))


def due(connection: Connection, *, now: datetime, limit: int) -> list[PriorSearch]:
    """Return searches that are due, the oldest first."""
    rows = connection.execute(
        select(prior_search)
        .where(IS_WAITING, prior_search.c.due_at <= now)
        .order_by(prior_search.c.due_at, prior_search.c.id)
        .limit(limit)
    )
    return [
        PriorSearch(
            search_id=row.id,
            film_id=row.film_id,
            unsuitable=frozenset(row.unsuitable),
            attempts=row.attempts,
            until=row.until,
            detail=row.detail,
        )
        for row in rows
    ]


def is_wanted(connection: Connection, film_id: int) -> bool:
    """Whether a film is still reported: its bytes are there, and nobody has rejected it."""
    is_rejected = exists().where(rejected_film.c.film_id == film.c.id)
    query = select(film.c.id).where(film.c.id == film_id, film.c.removed_at.is_(None), ~is_rejected)
    return connection.execute(query).first() is not None


def end(transaction: Transaction, search_id: int, state: SearchState, *, detail: str = "", now: datetime) -> None:
    """End a search that is waiting; the detail names no patient."""
    values = {"state": state, "detail": detail, "ended_at": now}
    transaction.connection.execute(_waiting(search_id).values(values))


def retry(transaction: Transaction, search: PriorSearch, *, detail: str, due_at: datetime) -> None:
    """Try a search again."""
    values = {"attempts": search.attempts + 1, "detail": detail, "due_at": min(due_at, search.until)}
    transaction.connection.execute(_waiting(search.search_id).values(values))


def note_unsuitable(transaction: Transaction, search: PriorSearch, uids: Sequence[str]) -> None:
    """Store SOP Instance UIDs that were fetched and are no prior, so that they are not fetched again."""
    unsuitable = sorted({*search.unsuitable, *uids})
    transaction.connection.execute(_waiting(search.search_id).values(unsuitable=unsuitable))


def note_fetched(transaction: Transaction, search_id: int, fetched_film_id: int, *, source: str, now: datetime) -> None:
    """Store which film was fetched; it is to be read, unless it was read for another film."""
    is_read = select(fetched_film.c.id).where(fetched_film.c.id == fetched_film_id, fetched_film.c.read_at.is_not(None))
    values = {"state": SearchState.FETCHED, "fetched_film_id": fetched_film_id, "source": source, "detail": ""}
    transaction.connection.execute(_waiting(search_id).values(values))
    if transaction.connection.execute(is_read).first() is not None:
        note_read(transaction, fetched_film_id, now=now)


def note_read(transaction: Transaction, fetched_film_id: int, *, now: datetime) -> None:
    """Store that a fetched film was read: the studies that waited for it are composed, anew if they were before."""
    of_film = prior_search.c.fetched_film_id == fetched_film_id, prior_search.c.state == SearchState.FETCHED
    ended = update(prior_search).where(*of_film).values(state=SearchState.READ, ended_at=now)
    film_ids = transaction.connection.execute(ended.returning(prior_search.c.film_id)).scalars().all()
    study_ids = transaction.connection.execute(select(film.c.study_id).where(film.c.id.in_(film_ids)).distinct())
    for study_id in sorted(study_ids.scalars().all()):
        _compose(transaction, study_id, now=now)


def _compose(transaction: Transaction, study_id: int, *, now: datetime) -> None:
    """Add a compose job, unless one is waiting: its study window is left as it is."""
    is_waiting = job.c.stage == Stage.COMPOSE, job.c.study_id == study_id, job.c.state == State.WAITING
    if transaction.connection.execute(select(job.c.id).where(*is_waiting)).first() is None:
        queue.add(transaction, Stage.COMPOSE, study_id, of_study=study_id, due_at=now, now=now)


def note_unreadable(transaction: Transaction, fetched_film_id: int, sop_instance_uid: Uid, *, now: datetime) -> None:
    """Store that a fetched film gives nothing to compare with: the searches for it go on without it."""
    of_film = prior_search.c.fetched_film_id == fetched_film_id, prior_search.c.state == SearchState.FETCHED
    for row in transaction.connection.execute(select(prior_search).where(*of_film)).all():
        unsuitable = sorted({*row.unsuitable, sop_instance_uid})
        values = {"state": SearchState.WAITING, "fetched_film_id": None, "unsuitable": unsuitable, "due_at": now}
        transaction.connection.execute(update(prior_search).where(prior_search.c.id == row.id).values(values))


def expire(transaction: Transaction, *, now: datetime) -> int:
    """End the searches whose time is over, also of fetched films that nobody has read; return their number."""
    unread = transaction.connection.execute(select(fetched_film.c.id).where(IS_UNREAD)).scalars().all()
    is_fetched = prior_search.c.fetched_film_id.in_(unread), prior_search.c.state == SearchState.FETCHED
    ended = update(prior_search).values(state=SearchState.EXPIRED, ended_at=now)
    return sum(
        transaction.connection.execute(ended.where(*condition, prior_search.c.until <= now)).rowcount
        for condition in ((IS_WAITING, prior_search.c.due_at <= now), is_fetched)
    )


def awaited(connection: Connection, film_ids: Sequence[int]) -> frozenset[int]:
    """Return which films have a prior search that has not ended."""
    query = select(prior_search.c.film_id).where(
        prior_search.c.film_id.in_(film_ids), prior_search.c.state.not_in(ENDED)
    )
    return frozenset(connection.execute(query).scalars())


def _waiting(search_id: int) -> Update:
    return update(prior_search).where(prior_search.c.id == search_id, prior_search.c.state == SearchState.WAITING)
