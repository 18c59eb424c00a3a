"""Films that archives were asked to send to this node by C-MOVE, and where those that came are archived."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.db.database import Transaction
from cxr_node.db.prior_tables import fetched_film, moved_film
from cxr_node.domain.identifiers import AeTitle, Digest, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedFile:
    """The archived bytes of a film that has come."""

    archive_key: str
    digest: Digest


def expect(transaction: Transaction, sop_instance_uid: Uid, calling_ae_title: AeTitle, *, now: datetime) -> None:
    """Store that a film is to come from an AE title; one that has come meanwhile stays."""
    connection = transaction.connection
    of_uid = moved_film.c.sop_instance_uid == sop_instance_uid
    values = {"calling_ae_title": calling_ae_title, "requested_at": now}
    renewal = update(moved_film).where(of_uid).values(values)
    if connection.execute(renewal).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(moved_film).values(sop_instance_uid=sop_instance_uid, **values))
    except IntegrityError:  # another search asks for it too
        connection.execute(renewal)


def is_expected(connection: Connection, sop_instance_uid: Uid, calling_ae_title: AeTitle) -> bool:
    """Whether a film that comes from an AE title was asked for."""
    of_film = moved_film.c.sop_instance_uid == sop_instance_uid, moved_film.c.calling_ae_title == calling_ae_title
    return connection.execute(select(moved_film.c.id).where(*of_film)).first() is not None


def note_arrived(
    transaction: Transaction, sop_instance_uid: Uid, *, archive_key: str, digest: Digest, now: datetime
) -> None:
    """Store that a film has come, and where its bytes are."""
    values = {"arrived_at": now, "archive_key": archive_key, "digest": digest}
    of_uid = moved_film.c.sop_instance_uid == sop_instance_uid
    transaction.connection.execute(update(moved_film).where(of_uid).values(values))


def arrived(connection: Connection, sop_instance_uid: Uid) -> MovedFile | None:
    """Return the file of a film that has come; None if it has not."""
    of_uid = moved_film.c.sop_instance_uid == sop_instance_uid, moved_film.c.arrived_at.is_not(None)
    row = connection.execute(select(moved_film.c.archive_key, moved_film.c.digest).where(*of_uid)).first()
    return None if row is None else MovedFile(archive_key=row.archive_key, digest=Digest(row.digest))


def forget(transaction: Transaction, *, before: datetime) -> list[str]:
    """Remove what was asked for before a time; return the archive keys that no fetched film has."""
    connection = transaction.connection
    removed = delete(moved_film).where(moved_film.c.requested_at < before).returning(moved_film.c.archive_key)
    keys = {key for key in connection.execute(removed).scalars() if key is not None}
    is_kept = fetched_film.c.archive_key.in_(keys), fetched_film.c.removed_at.is_(None)
    kept_keys = set(connection.execute(select(fetched_film.c.archive_key).where(*is_kept)).scalars()) if keys else set()
    return sorted(keys - kept_keys)
