"""Readings for tests of monitoring: rows without pixels, many at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from cxr_node.db.database import Database
from cxr_node.db.priority import NO_PRIORITY_BOOST
from cxr_node.db.tables import film
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Presence, Reading
from cxr_node.domain.reasons import Reason
from cxr_node.records import ingest, readings
from cxr_node.records.ingest import IncomingFilm
from tests.support.queue import SENDER, instance
from tests.support.stub_prediction import prediction
from tests.support.tiny_bundles import film as noise

_PREDICTION = prediction([noise(rows=8, columns=8)])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFilm:
    """A film of a device with a time and a score; without a score it is not analysed."""

    name: str
    at: datetime
    device: str = "DX1"
    score: float | None = 0.2
    version: str = "1"


def read_films(database: Database, several: Iterable[ScoredFilm]) -> None:
    """Write films and their readings in order; a known film is read again."""
    with database.write() as transaction:
        for row in several:
            film_instance = instance(row.name, study=row.name)
            sender = replace(SENDER, calling_ae_title=AeTitle(row.device))
            arrived = IncomingFilm(
                instance=film_instance,
                sender=sender,
                archive_key=f"films/{row.name}",
                priority_boost_s=NO_PRIORITY_BOOST,
                at=row.at,
            )
            ingest.write(transaction, [arrived])
            query = select(film.c.id).where(film.c.sop_instance_uid == film_instance.identity.sop_instance_uid)
            number = transaction.connection.execute(query).scalar_one()
            reading = reading_of(film_instance.identity, score=row.score, version=row.version)
            readings.write(transaction, number, reading, now=row.at + timedelta(seconds=3))


def reading_of(identity: Identity, *, score: float | None, version: str = "1") -> Reading:
    """Return a reading with one score, or one of a film that is not analysed."""
    if score is None:
        return Reading(film=identity, geometry=None, grayscale="", prediction=None, not_analysed=Reason.VIEW)
    (finding,) = _PREDICTION.findings
    presence = Presence.PRESENT if score >= finding.operating_point else Presence.ABSENT
    digest = type(_PREDICTION.model.weights_digest)(version.rjust(64, "0"))
    scored = replace(
        _PREDICTION,
        model=replace(_PREDICTION.model, version=version, weights_digest=digest),
        findings=(replace(finding, score=score, presence=presence),),
    )
    return Reading(film=identity, geometry=None, grayscale="", prediction=scored)
