"""Updates of patients: kept films of a Patient ID, messages that were applied, and copies that correct films."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, select
from sqlalchemy.exc import IntegrityError

from cxr_node.db.correction_tables import corrected_copy, patient_message, rejected_film
from cxr_node.db.database import Database, Deadlock, Transaction
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.states import State
from cxr_node.db.tables import film, job
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.patient_update import PatientIdentifier, PatientMessage
from cxr_node.records import corrections, film_attributes, films, ingest, withdrawals
from cxr_node.records.ingest import IncomingFilm


class FilmsChanged(Exception):
    """Films of the patient came or were corrected meanwhile: the update is to be prepared again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message with the digest of its bytes, the address of its sender, and when it was received."""

    message: PatientMessage
    digest: Digest
    address: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of a film, archived; `detail` names what differs, without values."""

    film: Film
    incoming: IncomingFilm
    detail: str


def known_digest(connection: Connection, message: PatientMessage) -> Digest | None:
    """Return the digest of the message of this sender and Message Control ID that was applied, if one was."""
    of_message = patient_message.c.sender == message.sender, patient_message.c.control_id == message.control_id
    return connection.execute(select(patient_message.c.digest).where(*of_message)).scalar()


def identifiers_of(connection: Connection, patient_ids: Collection[str]) -> dict[int, PatientIdentifier]:
    """Return the identifiers of films with one of these Patient IDs, by film: those that count, shown and kept."""
    identifiers = film_identifiers.c
    rows = connection.execute(
        select(film.c.id, identifiers.patient_id, identifiers.issuer_of_patient_id)
        .join(film, film.c.id == identifiers.film_id)
        .where(
            identifiers.patient_id.in_(sorted(patient_ids)),
            film.c.is_original.is_(True),
            film.c.removed_at.is_(None),
            ~exists().where(rejected_film.c.film_id == film.c.id).correlate(film),
            is_not_constancy_film(),
        )
        .order_by(film.c.id)
    )
    return {
        film_id: PatientIdentifier(patient_id=patient_id, issuer=issuer or "") for film_id, patient_id, issuer in rows
    }


def identified(connection: Connection, message: PatientMessage) -> dict[int, PatientIdentifier]:
    """Return the identifiers of the films with Patient IDs of a message, by film.

    Raises
    ------
    RetryLater
        If films may be missing: their headers are not read yet, or corrected copies are not compared yet.
    """
    unread = film_attributes.unread(connection, limit=1)
    if unread:
        raise RetryLater(f"film {unread[0].film_id} and perhaps others are not read for their identifiers yet")
    patient_ids = patient_ids_of(message)
    if is_pending(connection, patient_ids):
        raise RetryLater("films of the patient wait to be corrected by an earlier message")
    return identifiers_of(connection, patient_ids)


def is_pending(connection: Connection, patient_ids: Collection[str]) -> bool:
    """Whether a corrected copy has not been compared yet, of a film that has one of these Patient IDs or gets it.

    Until then the film that counts does not state what an earlier message says.
    """
    copy = film.alias("copy")
    query = (
        select(copy.c.id)
        .join(corrected_copy, corrected_copy.c.film_id == copy.c.id)
        .join(job, job.c.film_id == copy.c.id)
        .join(film, film.c.sop_instance_uid == copy.c.sop_instance_uid)
        .join(film_identifiers, film_identifiers.c.film_id == film.c.id)
        .where(
            film_identifiers.c.patient_id.in_(sorted(patient_ids)),
            copy.c.is_original.is_(False),
            copy.c.removed_at.is_(None),
            job.c.state.in_((State.WAITING, State.RUNNING)),
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def patient_ids_of(message: PatientMessage) -> set[str]:
    """Return the Patient IDs that a message means."""
    return {meant.patient_id for update in message.updates for meant in update.meant}


def films_of(connection: Connection, film_ids: Sequence[int]) -> list[Film]:
    """Return films by their numbers."""
    return [films.get(connection, film_id) for film_id in film_ids]


def store(
    database: Database,
    received: ReceivedMessage,
    identified: Mapping[int, PatientIdentifier],
    copies: Sequence[Copy],
    *,
    actor: str,
    issues_anew: bool,
) -> None:
    """Record a message, and let the copies take the places of the films that they correct.

    Results of their studies are withdrawn and issued anew, in this transaction; without `issues_anew` the copies are
    compared as films that came again, and results follow the archive.

    Raises
    ------
    FilmsChanged
        If the films with the Patient IDs of the message are not those of `identified` any more, or the message was
        recorded meanwhile. Nothing is written then.
    """
    try:
        with database.write() as transaction:
            _write(transaction, received, identified, copies, actor=actor, issues_anew=issues_anew)
    except (IntegrityError, Deadlock):
        raise FilmsChanged from None


def _write(
    transaction: Transaction,
    received: ReceivedMessage,
    identified: Mapping[int, PatientIdentifier],
    copies: Sequence[Copy],
    *,
    actor: str,
    issues_anew: bool,
) -> None:
    connection, at = transaction.connection, received.at
    uids = [copy.incoming.uid for copy in copies]
    of_uids = select(film.c.study_id).where(film.c.sop_instance_uid.in_(uids))
    withdrawals.lock(transaction, connection.execute(of_uids).scalars().all())
    patient_ids = patient_ids_of(received.message)
    if identifiers_of(connection, patient_ids) != identified or is_pending(connection, patient_ids):
        raise FilmsChanged
    message_id = connection.execute(
        insert(patient_message)
        .values(
            sender=received.message.sender,
            control_id=received.message.control_id,
            digest=received.digest,
            event=received.message.event,
            films=len(copies),
            address=received.address,
            received_at=at,
        )
        .returning(patient_message.c.id)
    ).scalar_one()
    ingest.write(transaction, [copy.incoming for copy in copies], has_locks=True)
    for copy in copies:
        of_copy = film.c.sop_instance_uid == copy.incoming.uid, film.c.digest == copy.incoming.instance.digest
        film_id = connection.execute(select(film.c.id).where(*of_copy)).scalar_one()
        connection.execute(insert(corrected_copy).values(film_id=film_id, message_id=message_id))
        if issues_anew:
            corrections.issue_anew(transaction, film_id, detail=copy.detail, actor=actor, now=at)


def forget(transaction: Transaction, *, before: datetime) -> None:
    """Delete messages received before a time that corrected nothing."""
    is_old = patient_message.c.received_at < before, patient_message.c.films == 0
    transaction.connection.execute(delete(patient_message).where(*is_old))
