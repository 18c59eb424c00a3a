"""Films received, and the studies they belong to."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, exists, func, or_, select

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.tables import film, reading, study
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Sender
from cxr_node.domain.reasons import Reason
from cxr_node.records import identities


def get(connection: Connection, film_id: int) -> Film:
    """Return the film with this id."""
    return _film(connection.execute(_FILM, {"film_id": film_id}).mappings().one())


def of_study(connection: Connection, study_id: int) -> list[Film]:
    """Return the films of a study in order of reception, without repeated, rejected and removed films.

    Another film under a known SOP Instance UID is one of them once it is found to be another. Films of constancy checks
    are left out, so that no result is composed of them.
    """
    return [_film(row) for row in connection.execute(_OF_STUDY, {"study_id": study_id}).mappings()]


_OTHER = film.alias("other")
_SAME_UID = _OTHER.c.sop_instance_uid == film.c.sop_instance_uid
_FIRST_KEY, _FIRST_DIGEST = (
    select(column)
    .where(_SAME_UID, _OTHER.c.is_original.is_(True), _OTHER.c.id != film.c.id, _OTHER.c.removed_at.is_(None))
    .correlate(film)
    .scalar_subquery()
    .label(f"first_{column.name}")
    for column in (_OTHER.c.archive_key, _OTHER.c.digest)
)
_IS_CORRECTED = (
    and_(film.c.is_original.is_(True), exists().where(_SAME_UID, _OTHER.c.id < film.c.id).correlate(film))
).label("is_corrected")
_IS_REPLACED = (
    exists().where(_SAME_UID, _OTHER.c.is_original.is_(True), _OTHER.c.id > film.c.id).correlate(film)
).label("is_replaced")
_FILMS: Select[tuple[object, ...]] = select(
    film, study.c.study_instance_uid, _FIRST_KEY, _FIRST_DIGEST, _IS_CORRECTED, _IS_REPLACED
).join(study, film.c.study_id == study.c.id)
# Built once: building them costs more than running them.
_FILM = _FILMS.where(film.c.id == bindparam("film_id"))
_IS_CONFLICT = exists().where(reading.c.film_id == film.c.id, reading.c.not_analysed == Reason.DUPLICATE)
_OF_STUDY = _FILMS.where(
    film.c.study_id == bindparam("study_id"),
    or_(film.c.is_original.is_(True), _IS_CONFLICT),
    film.c.removed_at.is_(None),
    ~exists().where(rejected_film.c.film_id == film.c.id),
    is_not_constancy_film(),
).order_by(film.c.id)
_LAST_RECEIVED = select(func.max(film.c.received_at)).where(film.c.study_id == bindparam("study_id"))


def _film(columns: RowMapping) -> Film:
    return Film(
        film_id=columns[film.c.id],
        study_id=columns[film.c.study_id],
        identity=identities.of_row(columns),
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
        first_archive_key=columns["first_archive_key"],
        first_digest=columns["first_digest"],
        is_corrected=bool(columns["is_corrected"]),
        is_replaced=bool(columns["is_replaced"]),
    )


def last_received_at(connection: Connection, study_id: int) -> datetime:
    """Return when the last film of a study was received."""
    last: datetime = connection.execute(_LAST_RECEIVED, {"study_id": study_id}).scalar_one()
    return last
