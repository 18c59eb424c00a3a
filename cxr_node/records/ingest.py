"""Films that have just come, written as rows: those that come together in the same few statements."""

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
    insert,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from cxr_node.db.claim_order import NO_PRIORITY_BOOST
from cxr_node.db.constancy_tables import constancy_film
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import film, study
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Received, Sender
from cxr_node.domain.reasons import Reason
from cxr_node.queue import queue
from cxr_node.queue.queue import NewJob
from cxr_node.records import constancy
from cxr_node.records.constancy import IS_EXPECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFilm:
    """A film whose bytes are kept under `archive_key`: when and from whom it came, and by how much it goes first."""

    instance: Received
    sender: Sender
    archive_key: str
    priority_boost_s: int
    at: datetime

    @property
    def uid(self) -> Uid:
        """Its SOP Instance UID."""
        return self.instance.identity.sop_instance_uid

    @property
    def study_uid(self) -> Uid:
        """Its Study Instance UID."""
        return self.instance.identity.study_instance_uid


def store(
    database: Database,
    instance: Received,
    sender: Sender,
    *,
    archive_key: str,
    priority_boost_s: int = NO_PRIORITY_BOOST,
    now: datetime,
) -> bool:
    """Write the row of a film whose bytes are kept, and queue its reading; return False if it was known already.

    With a head start its whole study goes first, also when the film was known without one.

    The same SOP Instance UID with the same bytes is the same film. With other bytes it is another film:
    kept, flagged and set aside for a person, and the first is not touched.
    """
    arrived = IncomingFilm(
        instance=instance, sender=sender, archive_key=archive_key, priority_boost_s=priority_boost_s, at=now
    )
    for _ in range(_RACES):
        try:
            return database.write_grouped(write, arrived)
        except IntegrityError:
            continue  # another process wrote the same study or film in between: look again
    raise RuntimeError("the film's row was contested without end")


def write(transaction: Transaction, arrived: Sequence[IncomingFilm]) -> list[bool]:
    """Do what `remember` does for each, in order, and return what it returns."""
    is_new: dict[int, bool] = {}
    remaining = dict(enumerate(arrived))
    while remaining:
        # Of two under one UID the second must find the first.
        first: dict[Uid, int] = {}
        for number, each in remaining.items():
            first.setdefault(each.uid, number)
        chosen = [(number, remaining.pop(number)) for number in first.values()]
        found = _write([each for _, each in chosen], transaction)
        is_new |= zip((number for number, _ in chosen), found, strict=True)
    return [is_new[number] for number in range(len(arrived))]


# A contest over one row is settled by the first retry; more means that something else is wrong.
_RACES = 5


@dataclass(slots=True)
class _Study:
    """A study's row, and by how much its jobs go first."""

    study_id: int
    priority_boost_s: int


def _write(arrived: Sequence[IncomingFilm], transaction: Transaction) -> list[bool]:
    """Write films of different UIDs."""
    studies = _studies(transaction, arrived)
    known, announced = _known(transaction, arrived)
    again = [each.instance.digest in known[each.uid] for each in arrived]
    for each, was_there in zip(arrived, again, strict=True):
        if was_there:
            transaction.connection.execute(_KEEP_ANEW, {"of": each.uid, "as": each.instance.digest, "now": each.at})
    new = [each for each, was_there in zip(arrived, again, strict=True) if not was_there]
    if new:
        _write_new(transaction, new, studies, known, announced)
    return [not was_there for was_there in again]


def _write_new(
    transaction: Transaction,
    new: Sequence[IncomingFilm],
    studies: Mapping[Uid, _Study],
    known: Mapping[Uid, AbstractSet[Digest]],
    announced: AbstractSet[Uid],
) -> None:
    rows = [_row(each, studies[each.study_uid].study_id, is_original=not known[each.uid]) for each in new]
    film_ids = transaction.connection.execute(_NEW_FILMS, rows).scalars().all()
    jobs = [
        NewJob(subject_id=film_id, of_study=of.study_id, priority_boost_s=of.priority_boost_s, at=each.at)
        for film_id, each, of in zip(film_ids, new, (studies[each.study_uid] for each in new), strict=True)
    ]
    job_ids = queue.add_all(transaction, Stage.READ, jobs)
    detail = "another film with this SOP Instance UID came first; compare the two and send the right one anew"
    for film_id, job_id, each in zip(film_ids, job_ids, new, strict=True):
        if each.uid in announced and not known[each.uid]:
            constancy.link_film(transaction.connection, each.uid, film_id, now=each.at)
        if known[each.uid]:
            queue.set_aside_unclaimed(transaction, job_id, reason=Reason.DUPLICATE, detail=detail, now=each.at)


def _known(
    transaction: Transaction, arrived: Sequence[IncomingFilm]
) -> tuple[Mapping[Uid, AbstractSet[Digest]], AbstractSet[Uid]]:
    """Return the digests that are there under each UID, and which UIDs a check of constancy has announced."""
    since = constancy.announced_since(now=max(each.at for each in arrived))
    known: defaultdict[Uid, set[Digest]] = defaultdict(set)
    announced = set()
    for uid, digest in _asked(transaction, _KNOWN, [each.uid for each in arrived], since=since):
        if digest is None:
            announced.add(uid)
        else:
            known[uid].add(digest)
    return known, announced


def _studies(transaction: Transaction, arrived: Sequence[IncomingFilm]) -> Mapping[Uid, _Study]:
    """Return the studies of films by their UIDs, those made that were not there, and those urged that are to be.

    Their rows are held until the commit, so that who urges a study meanwhile finds its new jobs; always in one order,
    and at once as strongly as they will be needed, or two who wrote films of the same studies would wait for each
    other.
    """
    urged = [each for each in arrived if each.priority_boost_s > NO_PRIORITY_BOOST]
    first_at = {each.study_uid: each.at for each in reversed(arrived)}
    uids = sorted(first_at)
    rows = _asked(transaction, _URGED_STUDIES if urged else _STUDIES, uids)
    studies = {Uid(uid): _Study(study_id, priority_boost_s) for study_id, uid, priority_boost_s in rows}
    missing = [
        {"study_instance_uid": uid, "first_received_at": first_at[uid], "priority": NO_PRIORITY_BOOST}
        for uid in uids
        if uid not in studies
    ]
    if missing:
        made = transaction.connection.execute(_NEW_STUDIES, missing).scalars()
        for row, study_id in zip(missing, made, strict=True):
            studies[Uid(str(row["study_instance_uid"]))] = _Study(study_id, NO_PRIORITY_BOOST)
    for each in urged:
        queue.boost_study(transaction, studies[each.study_uid].study_id, each.priority_boost_s)
        studies[each.study_uid].priority_boost_s = max(studies[each.study_uid].priority_boost_s, each.priority_boost_s)
    return studies


def _row(each: IncomingFilm, study_id: int, *, is_original: bool) -> dict[str, object]:
    identity = each.instance.identity
    return {
        "study_id": study_id,
        "sop_class_uid": identity.sop_class_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "series_instance_uid": identity.series_instance_uid,
        "transfer_syntax_uid": each.instance.transfer_syntax_uid,
        "patient_key": identity.patient_key,
        "digest": each.instance.digest,
        "archive_key": each.archive_key,
        "size_bytes": each.instance.size_bytes,
        "calling_ae_title": each.sender.calling_ae_title,
        "called_ae_title": each.sender.called_ae_title,
        "address": each.sender.address,
        "association": each.sender.association,
        "received_at": each.at,
        "is_original": is_original,
    }


@dataclass(frozen=True, slots=True)
class _Question:
    """The same asked of one UID, which is the quicker, and of several."""

    of_one: Executable
    of_several: Executable

    @classmethod
    def made(cls, make: Callable[[Callable[[Column[str]], ColumnElement[bool]]], Executable]) -> Self:
        """Return what `make` makes of a condition on the column that holds UIDs."""
        return cls(
            make(lambda column: column == bindparam("uid")),
            make(lambda column: column.in_(bindparam("uids", expanding=True))),
        )


def _asked(transaction: Transaction, question: _Question, uids: Sequence[Uid], **more: object) -> Iterable[Any]:
    if len(uids) == 1:
        return transaction.connection.execute(question.of_one, {"uid": uids[0], **more})
    return transaction.connection.execute(question.of_several, {"uids": uids, **more})


# Made once for all: making a statement costs several times what running it does, and every film needs these.
_KNOWN = _Question.made(
    lambda among: union_all(
        select(film.c.sop_instance_uid, film.c.digest).where(among(film.c.sop_instance_uid)),
        select(constancy_film.c.sop_instance_uid, null()).where(among(constancy_film.c.sop_instance_uid), *IS_EXPECTED),
    )
)


def _named(among: Callable[[Column[str]], ColumnElement[bool]]) -> Select[tuple[int, str, int]]:
    columns = study.c.id, study.c.study_instance_uid, study.c.priority
    return select(*columns).where(among(study.c.study_instance_uid)).order_by(study.c.id)


_STUDIES = _Question.made(lambda among: _named(among).with_for_update(read=True))
_URGED_STUDIES = _Question.made(lambda among: _named(among).with_for_update(key_share=True))
_NEW_FILMS = insert(film).returning(film.c.id, sort_by_parameter_order=True)
_NEW_STUDIES = insert(study).returning(study.c.id, sort_by_parameter_order=True)
_KEEP_ANEW = (
    update(film)
    .where(film.c.sop_instance_uid == bindparam("of"), film.c.digest == bindparam("as"))
    .values(received_again_at=bindparam("now"), removed_at=None)
)
