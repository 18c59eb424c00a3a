"""Films received, and the studies they belong to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Identity, Received, Sender
from cxr_node.domain.reasons import Reason
from cxr_node.jobs import constancy, queue
from cxr_node.jobs.constancy_tables import is_no_check
from cxr_node.jobs.database import Database, Transaction
from cxr_node.jobs.states import Leg
from cxr_node.jobs.tables import film, study
from cxr_node.jobs.turns import NO_HEAD_START


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film's row: who it is, where its bytes are, who sent it and when."""

    film_id: int
    study_id: int
    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    archive_key: str
    sender: Sender
    received_at: datetime
    is_original: bool


def remember(
    database: Database,
    instance: Received,
    sender: Sender,
    *,
    archive_key: str,
    head_start_s: int = NO_HEAD_START,
    now: datetime,
) -> bool:
    """Write the row of a film whose bytes are kept, and queue its reading; return False if it was known already.

    With a head start its whole study goes first, also when the film was known without one.

    The same SOP Instance UID with the same bytes is the same film. With other bytes it is another film:
    kept, flagged and set aside for a person, and the first is not touched.
    """

    def write(transaction: Transaction) -> bool:
        return _remember(transaction, instance, sender, archive_key=archive_key, head_start_s=head_start_s, now=now)

    for _ in range(_RACES):
        try:
            return database.write_together(write)
        except IntegrityError:
            continue  # another process wrote the same study or film in between: look again
    raise RuntimeError("the film's row was contested without end")


def get(connection: Connection, film_id: int) -> Film:
    """Return the film with this id."""
    return _film(connection.execute(_FILMS.where(film.c.id == film_id)).mappings().one())


def of_study(connection: Connection, study_id: int) -> list[Film]:
    """Return the films of a study that are its own (not flagged duplicates) and kept, in order of reception.

    Of those of a constancy check there are none: whoever would speak of a study finds nothing to speak of.
    """
    own = (film.c.study_id == study_id, film.c.is_original.is_(True), film.c.removed_at.is_(None))
    rows = connection.execute(_FILMS.where(*own, is_no_check()).order_by(film.c.id))
    return [_film(row) for row in rows.mappings()]


# A contest over one row is settled by the first retry; more means that something else is wrong.
_RACES = 5


def _remember(
    transaction: Transaction,
    instance: Received,
    sender: Sender,
    *,
    archive_key: str,
    head_start_s: int,
    now: datetime,
) -> bool:
    connection = transaction.connection
    identity = instance.identity
    study_id = _study_id(connection, identity.study_instance_uid, now)
    if head_start_s > NO_HEAD_START:
        queue.urge(transaction, study_id, head_start_s)
    known = connection.execute(_KNOWN, {"uid": identity.sop_instance_uid}).scalars().all()
    if instance.digest in known:
        _keep_anew(connection, instance, now)
        return False
    film_id = connection.execute(
        _NEW_FILM,
        {
            "study_id": study_id,
            "sop_class_uid": identity.sop_class_uid,
            "sop_instance_uid": identity.sop_instance_uid,
            "series_instance_uid": identity.series_instance_uid,
            "transfer_syntax_uid": instance.transfer_syntax_uid,
            "patient_key": identity.patient_key,
            "digest": instance.digest,
            "archive_key": archive_key,
            "size_bytes": instance.size_bytes,
            "calling_ae_title": sender.calling_ae_title,
            "called_ae_title": sender.called_ae_title,
            "address": sender.address,
            "association": sender.association,
            "received_at": now,
            "is_original": not known,
        },
    ).scalar_one()
    job_id = queue.add(transaction, Leg.READ, film_id, of_study=study_id, due_at=now, now=now)
    if not known:
        constancy.mark(connection, identity.sop_instance_uid, film_id, now=now)
    if known:
        detail = "another film with this SOP Instance UID came first; compare the two and send the right one anew"
        queue.set_aside_unclaimed(transaction, job_id, reason=Reason.DUPLICATE, detail=detail, now=now)
    return True


def _keep_anew(connection: Connection, instance: Received, now: datetime) -> None:
    same = (film.c.sop_instance_uid == instance.identity.sop_instance_uid, film.c.digest == instance.digest)
    connection.execute(update(film).where(*same).values(kept_from=now, removed_at=None))


def _study_id(connection: Connection, study_instance_uid: Uid, now: datetime) -> int:
    found: int | None = connection.execute(_STUDY, {"uid": study_instance_uid}).scalar_one_or_none()
    if found is not None:
        return found
    row = {"study_instance_uid": study_instance_uid, "first_received_at": now}
    made: int = connection.execute(_NEW_STUDY, row).scalar_one()
    return made


# Made once for all: making a statement costs several times what running it does, and every film needs these.
_KNOWN = select(film.c.digest).where(film.c.sop_instance_uid == bindparam("uid"))
_NEW_FILM = insert(film).returning(film.c.id)
_STUDY = select(study.c.id).where(study.c.study_instance_uid == bindparam("uid"))
_NEW_STUDY = insert(study).returning(study.c.id)


_FILMS: Select[tuple[object, ...]] = select(film, study.c.study_instance_uid).join(study, film.c.study_id == study.c.id)


def _film(columns: RowMapping) -> Film:
    return Film(
        film_id=columns[film.c.id],
        study_id=columns[film.c.study_id],
        identity=Identity(
            sop_class_uid=Uid(columns[film.c.sop_class_uid]),
            sop_instance_uid=Uid(columns[film.c.sop_instance_uid]),
            series_instance_uid=Uid(columns[film.c.series_instance_uid]),
            study_instance_uid=Uid(columns[study.c.study_instance_uid]),
            patient_key=Digest(columns[film.c.patient_key]),
        ),
        transfer_syntax_uid=Uid(columns[film.c.transfer_syntax_uid]),
        digest=Digest(columns[film.c.digest]),
        archive_key=columns[film.c.archive_key],
        sender=Sender(
            calling_ae_title=AeTitle(columns[film.c.calling_ae_title]),
            called_ae_title=AeTitle(columns[film.c.called_ae_title]),
            address=columns[film.c.address],
            association=columns[film.c.association],
        ),
        received_at=columns[film.c.received_at],
        is_original=columns[film.c.is_original],
    )


def last_received_at(connection: Connection, study_id: int) -> datetime:
    """Return when the last film of a study was received."""
    last: datetime = connection.execute(
        select(func.max(film.c.received_at)).where(film.c.study_id == study_id)
    ).scalar_one()
    return last
