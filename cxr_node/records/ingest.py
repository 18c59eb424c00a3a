"""Ingest: rows and read jobs of received films; concurrent films share the same few statements."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    Select,
    bindparam,
    case,
    insert,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from cxr_node.db.correction_tables import rejected_instance
from cxr_node.db.database import Database, Deadlock, Transaction
from cxr_node.db.monitoring_tables import constancy_film
from cxr_node.db.priority import NO_PRIORITY_BOOST
from cxr_node.db.states import Stage
from cxr_node.db.tables import film as film_table
from cxr_node.db.tables import study as study_table
from cxr_node.domain.film_attributes import FilmAttributes
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Received, Sender
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.queue import queue
from cxr_node.queue.queue import NewJob
from cxr_node.records import constancy, film_attributes, rejection_notes
from cxr_node.records.constancy import IS_EXPECTED
from cxr_node.records.rejection_notes import KnownRejection

# A conflict over one row is settled by the first repeat; more means that something else is wrong.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFilm:
    """A film whose bytes are archived under `archive_key`, with its sender, priority boost and time of reception.

    `attributes` are None if its header was not read for them.
    """

    instance: Received
    sender: Sender
    archive_key: str
    priority_boost_s: int
    attributes: FilmAttributes | None = None
    at: datetime

    @property
    def uid(self) -> Uid:
        """SOP Instance UID."""
        return self.instance.identity.sop_instance_uid

    @property
    def study_uid(self) -> Uid:
        """Study Instance UID."""
        return self.instance.identity.study_instance_uid


def store(
    database: Database,
    instance: Received,
    sender: Sender,
    *,
    archive_key: str,
    priority_boost_s: int = NO_PRIORITY_BOOST,
    attributes: FilmAttributes | None = None,
    now: datetime,
) -> bool:
    """Write the row of an archived film and add its read job; return False if the film was known already.

    A priority boost applies to the whole study, also if the film was known without one.

    The same SOP Instance UID with the same bytes is the same film. With other bytes it is kept and flagged, and its
    read job compares it with the first film, which is not changed. A film that was rejected before it came is hidden.

    Raises
    ------
    InstanceRejected
        If the film was rejected so that it is refused from then on.
    """
    film = IncomingFilm(
        instance=instance,
        sender=sender,
        archive_key=archive_key,
        priority_boost_s=priority_boost_s,
        attributes=attributes,
        at=now,
    )
    for _ in range(_ATTEMPTS):
        try:
            return _store(database, film)
        except (IntegrityError, Deadlock):
            continue  # another process has written the same study or film meanwhile
    raise RuntimeError("the row of the film conflicted at every attempt")


def _store(database: Database, film: IncomingFilm) -> bool:
    try:
        return database.write_grouped(write, film)
    except _HasRejections:
        with database.write() as transaction:
            return _write_rejected(transaction, film)


def is_kept(database: Database, uid: Uid, digest: Digest) -> bool:
    """Whether a film has a row by which its bytes are kept: retention has not removed them."""
    query = select(film_table.c.id).where(
        film_table.c.sop_instance_uid == uid, film_table.c.digest == digest, film_table.c.removed_at.is_(None)
    )
    with database.read() as connection:
        return connection.execute(query).first() is not None


class _HasRejections(Exception):
    """Of the SOP Instance UID of a film there is a rejection, so that more studies than its own are to be locked."""


def write(transaction: Transaction, films: Sequence[IncomingFilm], *, has_locks: bool = False) -> list[bool]:
    """Write several films of which none was rejected, as `store` does, in order; return for each whether it was new.

    With `has_locks`, on all studies of films of their UIDs, also films whose UIDs were rejected once.
    """
    is_new: dict[int, bool] = {}
    remaining = dict(enumerate(films))
    while remaining:
        # One film of each UID at a time: the second must find the row of the first.
        first: dict[Uid, int] = {}
        for number, film in remaining.items():
            first.setdefault(film.uid, number)
        batch = {number: remaining.pop(number) for number in first.values()}
        is_new |= zip(batch, _write(list(batch.values()), transaction, has_locks=has_locks), strict=True)
    return [is_new[number] for number in range(len(films))]


@dataclass(slots=True)
class _Study:
    """Number and priority boost of a study."""

    study_id: int
    priority_boost_s: int


@dataclass(frozen=True, slots=True)
class _Known:
    """Digests of known films by UID, the UIDs that a constancy check has announced, and rejections by UID."""

    digests: Mapping[Uid, AbstractSet[Digest]]
    announced: AbstractSet[Uid]
    rejections: Mapping[Uid, Sequence[KnownRejection]]


def _write_rejected(transaction: Transaction, film: IncomingFilm) -> bool:
    """Write a film whose SOP Instance UID was rejected; the studies that this may change are locked first."""
    rejection_notes.lock_studies(transaction, film.uid, film.study_uid)
    return _write([film], transaction, has_locks=True)[0]


def _write(films: Sequence[IncomingFilm], transaction: Transaction, *, has_locks: bool = False) -> list[bool]:
    """Write films of different UIDs.

    Raises
    ------
    _HasRejections
        Unless the transaction `has_locks` on all studies of films that were rejected. The shared locks of others cannot
        become exclusive ones: two transactions that hold them on one study would wait for each other.
    """
    studies = _studies(transaction, films)
    stored = _known(transaction, films)
    if stored.rejections and not has_locks:
        raise _HasRejections
    fresh = _after_rejection(transaction, films, stored)
    are_known = [film.instance.digest in stored.digests[film.uid] for film in films]
    for film, is_known in zip(films, are_known, strict=True):
        if is_known:
            parameters = {"of_uid": film.uid, "of_digest": film.instance.digest, "now": film.at}
            transaction.connection.execute(_RECEIVE_AGAIN, parameters)
    new = [film for film, is_known in zip(films, are_known, strict=True) if not is_known]
    if new:
        _write_new(transaction, new, studies, stored, fresh)
    for film in films:
        rejection_notes.on_arrival(transaction, stored.rejections.get(film.uid, ()))
    return [not is_known for is_known in are_known]


def _after_rejection(transaction: Transaction, films: Sequence[IncomingFilm], stored: _Known) -> AbstractSet[Uid]:
    """Make room for films that come again after their rejection; return the UIDs of which no film is shown.

    Raises
    ------
    InstanceRejected
        If a film is refused, because it was rejected.
    """
    fresh = set()
    for film in films:
        rejections = stored.rejections.get(film.uid, ())
        rejection_notes.check(rejections)
        if any(one.is_applied for one in rejections) and rejection_notes.come_again(
            transaction, film.uid, film.instance.digest, now=film.at
        ):
            fresh.add(film.uid)
    return fresh


def _write_new(
    transaction: Transaction,
    films: Sequence[IncomingFilm],
    studies: Mapping[Uid, _Study],
    stored: _Known,
    fresh: AbstractSet[Uid],
) -> None:
    rows = [
        _row(
            film,
            studies[film.study_uid].study_id,
            is_original=not stored.digests[film.uid] or film.uid in fresh,
        )
        for film in films
    ]
    film_ids = transaction.connection.execute(_INSERT_FILMS, rows).scalars().all()
    jobs = []
    for film_id, film in zip(film_ids, films, strict=True):
        study = studies[film.study_uid]
        jobs.append(
            NewJob(subject_id=film_id, of_study=study.study_id, priority_boost_s=study.priority_boost_s, at=film.at)
        )
    queue.add_all(transaction, Stage.READ, jobs)
    attributes = [(film_id, film.attributes) for film_id, film in zip(film_ids, films, strict=True)]
    film_attributes.insert_identifiers(transaction.connection, attributes)
    for film_id, film in zip(film_ids, films, strict=True):
        if film.uid in stored.announced and not stored.digests[film.uid]:
            constancy.link_film(transaction.connection, film.uid, film_id, now=film.at)


def _known(transaction: Transaction, films: Sequence[IncomingFilm]) -> _Known:
    since = constancy.announced_since(now=max(film.at for film in films))
    digests: defaultdict[Uid, set[Digest]] = defaultdict(set)
    announced = set()
    rejections: defaultdict[Uid, list[KnownRejection]] = defaultdict(list)
    known = _rows(transaction, _KNOWN, [film.uid for film in films], since=since)
    for uid, digest, rejection_id, title, applied_at in known:
        if rejection_id is not None:
            rejection = KnownRejection(
                rejection_id=rejection_id, title=RejectionTitle(title), is_applied=applied_at is not None
            )
            rejections[uid].append(rejection)
        elif digest is None:
            announced.add(uid)
        else:
            digests[uid].add(digest)
    return _Known(digests, announced, rejections)


def _studies(transaction: Transaction, films: Sequence[IncomingFilm]) -> Mapping[Uid, _Study]:
    """Return the studies of films by UID, after adding missing ones and raising priority boosts.

    The rows stay locked until the commit, so that a concurrent `boost_study` finds the new jobs. They are locked in
    one order and with the final strength at once; otherwise two writers of the same studies could deadlock.
    """
    boosted = [film for film in films if film.priority_boost_s > NO_PRIORITY_BOOST]
    first_at = {film.study_uid: film.at for film in reversed(films)}
    uids = sorted(first_at)
    rows = _rows(transaction, _STUDIES_TO_BOOST if boosted else _STUDIES, uids)
    studies = {Uid(uid): _Study(study_id, priority_boost_s) for study_id, uid, priority_boost_s in rows}
    missing = [uid for uid in uids if uid not in studies]
    if missing:
        new = [
            {"study_instance_uid": uid, "first_received_at": first_at[uid], "priority": NO_PRIORITY_BOOST}
            for uid in missing
        ]
        study_ids = transaction.connection.execute(_INSERT_STUDIES, new).scalars()
        studies |= {uid: _Study(study_id, NO_PRIORITY_BOOST) for uid, study_id in zip(missing, study_ids, strict=True)}
    for film in boosted:
        study = studies[film.study_uid]
        queue.boost_study(transaction, study.study_id, film.priority_boost_s)
        study.priority_boost_s = max(study.priority_boost_s, film.priority_boost_s)
    return studies


def _row(film: IncomingFilm, study_id: int, *, is_original: bool) -> dict[str, object]:
    identity = film.instance.identity
    return {
        "study_id": study_id,
        "sop_class_uid": identity.sop_class_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "series_instance_uid": identity.series_instance_uid,
        "transfer_syntax_uid": film.instance.transfer_syntax_uid,
        "patient_key": identity.patient_key,
        "digest": film.instance.digest,
        "archive_key": film.archive_key,
        "size_bytes": film.instance.size_bytes,
        "calling_ae_title": film.sender.calling_ae_title,
        "called_ae_title": film.sender.called_ae_title,
        "address": film.sender.address,
        "association": film.sender.association,
        "received_at": film.at,
        "is_original": is_original,
        **film_attributes.equipment_columns(film.attributes),
    }


@dataclass(frozen=True, slots=True)
class _UidQuery:
    """A query by UID, as a statement for one UID, which is faster, and one for several.

    Built once: building a statement costs several times what running it does, and every film needs these.
    """

    one: Executable
    several: Executable

    @classmethod
    def build(cls, statement: Callable[[Callable[[Column[str]], ColumnElement[bool]]], Executable]) -> Self:
        """Return both forms of `statement`, which gets a condition on a column of UIDs."""
        return cls(
            statement(lambda column: column == bindparam("uid")),
            statement(lambda column: column.in_(bindparam("uids", expanding=True))),
        )


def _rows(transaction: Transaction, query: _UidQuery, uids: Sequence[Uid], **parameters: object) -> Iterable[Any]:
    if len(uids) == 1:
        return transaction.connection.execute(query.one, {"uid": uids[0], **parameters})
    return transaction.connection.execute(query.several, {"uids": uids, **parameters})


_KNOWN = _UidQuery.build(
    lambda has_uid: union_all(
        # First, because it has a type for each column.
        select(
            rejected_instance.c.sop_instance_uid,
            null(),
            rejected_instance.c.id,
            rejected_instance.c.title,
            rejected_instance.c.applied_at,
        ).where(has_uid(rejected_instance.c.sop_instance_uid), rejected_instance.c.lifted_at.is_(None)),
        select(film_table.c.sop_instance_uid, film_table.c.digest, null(), null(), null()).where(
            has_uid(film_table.c.sop_instance_uid)
        ),
        select(constancy_film.c.sop_instance_uid, null(), null(), null(), null()).where(
            has_uid(constancy_film.c.sop_instance_uid), *IS_EXPECTED
        ),
    )
)


def _select_studies(has_uid: Callable[[Column[str]], ColumnElement[bool]]) -> Select[tuple[int, str, int]]:
    columns = study_table.c.id, study_table.c.study_instance_uid, study_table.c.priority
    return select(*columns).where(has_uid(study_table.c.study_instance_uid)).order_by(study_table.c.id)


_STUDIES = _UidQuery.build(lambda has_uid: _select_studies(has_uid).with_for_update(read=True))
_STUDIES_TO_BOOST = _UidQuery.build(lambda has_uid: _select_studies(has_uid).with_for_update(key_share=True))
_INSERT_FILMS = insert(film_table).returning(film_table.c.id, sort_by_parameter_order=True)
_INSERT_STUDIES = insert(study_table).returning(study_table.c.id, sort_by_parameter_order=True)
# The identifiers of a film that had been removed are gone: without a modality its header is read for them again.
_MODALITY_IF_KEPT = case((film_table.c.removed_at.is_(None), film_table.c.modality))
_RECEIVE_AGAIN = (
    update(film_table)
    .where(film_table.c.sop_instance_uid == bindparam("of_uid"), film_table.c.digest == bindparam("of_digest"))
    .values(received_again_at=bindparam("now"), removed_at=None, modality=_MODALITY_IF_KEPT)
)
