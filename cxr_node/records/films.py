"""Films received, and the studies they belong to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, func, select

from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.tables import film, study
from cxr_node.domain.identifiers import AeTitle, Digest, Uid
from cxr_node.domain.instance import Identity, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film: identity, archive key, sender and time of reception."""

    film_id: int
    study_id: int
    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    archive_key: str
    sender: Sender
    received_at: datetime
    is_original: bool


def get(connection: Connection, film_id: int) -> Film:
    """Return the film with this id."""
    return _film(connection.execute(_FILMS.where(film.c.id == film_id)).mappings().one())


def of_study(connection: Connection, study_id: int) -> list[Film]:
    """Return the films of a study in order of reception, without flagged duplicates and removed films.

    Films of constancy checks are left out too, so that no result is composed of them.
    """
    conditions = (film.c.study_id == study_id, film.c.is_original.is_(True), film.c.removed_at.is_(None))
    rows = connection.execute(_FILMS.where(*conditions, is_not_constancy_film()).order_by(film.c.id))
    return [_film(row) for row in rows.mappings()]


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
