"""Films fetched from other archives to be compared with: rows apart from those of received films."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.db.correction_tables import rejected_instance
from cxr_node.db.database import Transaction
from cxr_node.db.prior_tables import IS_UNREAD, fetched_film, prior_search
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Identity, Instance, Sender
from cxr_node.domain.prior_search import SearchState
from cxr_node.domain.reading import Reading
from cxr_node.records import identities, reading_columns

_NO_ROW = 0
"""A fetched film has no row of received films, and no study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFilm:
    """A fetched film: `film` has its identity and archive key, and the AE title or name of the archive as sender."""

    fetched_film_id: int
    film: Film
    attempts: int = 0


def add(
    transaction: Transaction, instance: Instance, *, source: str, archive_key: str, expires_at: datetime, now: datetime
) -> int:
    """Write the row of a fetched film whose bytes are archived, or find it; return its id."""
    connection = transaction.connection
    is_known = fetched_film.c.sop_instance_uid == instance.identity.sop_instance_uid
    is_known &= fetched_film.c.digest == instance.digest
    values = {"archive_key": archive_key, "fetched_at": now, "expires_at": expires_at, "removed_at": None}
    renewal = update(fetched_film).where(is_known).values(values).returning(fetched_film.c.id)
    known: int | None = connection.execute(renewal).scalar()
    if known is not None:
        return known
    row = {**_columns(instance), "source": source, "attempts": 0, **values}
    try:
        with connection.begin_nested():
            return int(connection.execute(insert(fetched_film).values(row).returning(fetched_film.c.id)).scalar_one())
    except IntegrityError:  # another search has fetched it meanwhile
        return int(connection.execute(renewal).scalar_one())


def _columns(instance: Instance) -> dict[str, object]:
    identity = instance.identity
    return {
        "sop_class_uid": identity.sop_class_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "series_instance_uid": identity.series_instance_uid,
        "study_instance_uid": identity.study_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "patient_key": identity.patient_key,
        "digest": instance.digest,
        "size_bytes": instance.size_bytes,
    }


def held(connection: Connection, sop_instance_uid: Uid, patient_key: Digest) -> int | None:
    """Return the id of a film that was fetched before and is still there; None if there is none."""
    conditions = fetched_film.c.sop_instance_uid == sop_instance_uid, fetched_film.c.patient_key == patient_key
    query = select(fetched_film.c.id).where(*conditions, fetched_film.c.removed_at.is_(None))
    number: int | None = connection.execute(query.order_by(fetched_film.c.id.desc()).limit(1)).scalar()
    return number


def is_rejected(connection: Connection, sop_instance_uid: Uid) -> bool:
    """Whether a rejection note has withdrawn an instance."""
    of_uid = rejected_instance.c.sop_instance_uid == sop_instance_uid, rejected_instance.c.lifted_at.is_(None)
    return connection.execute(select(rejected_instance.c.id).where(*of_uid).limit(1)).first() is not None


def next_unread(transaction: Transaction) -> FetchedFilm | None:
    """Return the next film to be read, and count the attempt; None if there is none."""
    connection = transaction.connection
    row = connection.execute(select(fetched_film).where(IS_UNREAD).order_by(fetched_film.c.id).limit(1)).mappings()
    columns = row.first()
    if columns is None:
        return None
    counted = update(fetched_film).where(fetched_film.c.id == columns["id"])
    connection.execute(counted.values(attempts=fetched_film.c.attempts + 1))
    return FetchedFilm(fetched_film_id=columns["id"], film=_film(columns), attempts=columns["attempts"] + 1)


def release(transaction: Transaction, fetched_film_id: int) -> None:
    """Do not count the attempt to read a film."""
    of_film = update(fetched_film).where(fetched_film.c.id == fetched_film_id)
    transaction.connection.execute(of_film.values(attempts=fetched_film.c.attempts - 1))


def write_reading(transaction: Transaction, fetched_film_id: int, value: Reading, *, now: datetime) -> None:
    """Store what a comparison needs of the reading of a fetched film."""
    values = {"read_at": now, "reading": _json(value)}
    transaction.connection.execute(update(fetched_film).where(fetched_film.c.id == fetched_film_id).values(values))


def prior_of(connection: Connection, film_id: int) -> tuple[FetchedFilm, Reading] | None:
    """Return the fetched film that a film is compared with, and its reading; None if none was read."""
    columns = (
        connection.execute(
            select(fetched_film)
            .join(prior_search, prior_search.c.fetched_film_id == fetched_film.c.id)
            .where(
                prior_search.c.film_id == film_id,
                prior_search.c.state == SearchState.READ,
                fetched_film.c.removed_at.is_(None),
                fetched_film.c.read_at.is_not(None),
                ~exists().where(
                    rejected_instance.c.sop_instance_uid == fetched_film.c.sop_instance_uid,
                    rejected_instance.c.lifted_at.is_(None),
                ),
            )
        )
        .mappings()
        .first()
    )
    if columns is None or columns["reading"] is None:
        return None
    film = _film(columns)
    return FetchedFilm(fetched_film_id=columns["id"], film=film), _reading(columns["reading"], film.identity)


def mark_removed(transaction: Transaction, fetched_film_id: int, *, now: datetime) -> None:
    """Mark a film as removed; its reading is deleted."""
    of_film = fetched_film.c.id == fetched_film_id
    transaction.connection.execute(update(fetched_film).where(of_film).values(removed_at=now, **_UNREAD))


def mark_expired(transaction: Transaction, *, now: datetime) -> None:
    """Mark films as removed whose time is over; their readings are deleted."""
    is_over = fetched_film.c.expires_at <= now, fetched_film.c.removed_at.is_(None)
    transaction.connection.execute(update(fetched_film).where(*is_over).values(removed_at=now, **_UNREAD))


def removed_keys(connection: Connection, *, since: datetime) -> list[str]:
    """Return the archive keys of films marked as removed since a time, for files that a crash has left."""
    return list(
        connection.execute(select(fetched_film.c.archive_key).where(fetched_film.c.removed_at >= since)).scalars()
    )


_UNREAD: dict[str, Any] = {"read_at": None, "reading": None, "attempts": 0}
_NOT_COMPARED = frozenset({"structures", "observations"})


def _json(value: Reading) -> dict[str, Any]:
    columns = {name: stored for name, stored in reading_columns.of_reading(value).items() if name not in _NOT_COMPARED}
    findings = () if value.prediction is None else value.prediction.findings
    steps = () if value.prediction is None else value.prediction.steps
    return {
        **columns,
        "findings": [reading_columns.of_finding(one) for one in findings],
        "steps": [reading_columns.of_step(one) for one in steps],
        "measurements": [reading_columns.of_measurement(one) for one in value.measurements],
    }


def _reading(stored: Mapping[str, Any], identity: Identity) -> Reading:
    return reading_columns.reading(
        stored,
        identity,
        findings=tuple(reading_columns.finding(one) for one in stored["findings"]),
        steps=tuple(reading_columns.step(one, ()) for one in stored["steps"]),
        points=(),
        embeddings=(),
        measurements=tuple(reading_columns.measurement(one) for one in stored["measurements"]),
    )


def _film(columns: RowMapping) -> Film:
    return Film(
        film_id=_NO_ROW,
        study_id=_NO_ROW,
        identity=identities.of_row(columns),
        transfer_syntax_uid=Uid(columns["transfer_syntax_uid"]),
        digest=Digest(columns["digest"]),
        archive_key=columns["archive_key"],
        sender=Sender(calling_ae_title=AeTitle(""), called_ae_title=AeTitle(""), address=""),
        received_at=columns["fetched_at"],
        is_original=True,
    )
