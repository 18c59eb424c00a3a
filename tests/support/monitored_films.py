"""Films that were read, for tests of what is watched: rows without pixels, many at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from cxr_node.db.claim_order import NO_PRIORITY_BOOST
from cxr_node.db.database import Database
from cxr_node.db.tables import film
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Presence, Reading
from cxr_node.domain.reasons import Reason
from cxr_node.records import ingest, readings
from cxr_node.records.ingest import IncomingFilm
from tests.support.node import prediction
from tests.support.queue import SENDER, instance
from tests.support.tiny_bundles import film as noise

_SAID = prediction([noise(rows=8, columns=8)])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A film that came from a device at a time, and its score; None where it is not analysed."""

    name: str
    at: datetime
    device: str = "DX1"
    score: float | None = 0.2
    version: str = "1"


def read_films(database: Database, several: Iterable[Seen]) -> None:
    """Write films and their readings, in order; a film that is there already is read again."""
    with database.write() as transaction:
        for each in several:
            made = instance(each.name, study=each.name)
            sender = replace(SENDER, calling_ae_title=AeTitle(each.device))
            arrived = IncomingFilm(
                instance=made,
                sender=sender,
                archive_key=f"films/{each.name}",
                priority_boost_s=NO_PRIORITY_BOOST,
                at=each.at,
            )
            ingest.write(transaction, [arrived])
            named = select(film.c.id).where(film.c.sop_instance_uid == made.identity.sop_instance_uid)
            number = transaction.connection.execute(named).scalar_one()
            said = reading_of(made.identity, score=each.score, version=each.version)
            readings.write(transaction, number, said, now=each.at + timedelta(seconds=3))


def reading_of(identity: Identity, *, score: float | None, version: str = "1") -> Reading:
    """Return a reading with one score, or of a film that is not analysed."""
    if score is None:
        return Reading(film=identity, geometry=None, grayscale="", prediction=None, not_analysed=Reason.VIEW)
    (finding,) = _SAID.findings
    presence = Presence.PRESENT if score >= finding.operating_point else Presence.ABSENT
    digest = type(_SAID.model.weights_digest)(version.rjust(64, "0"))
    said = replace(
        _SAID,
        model=replace(_SAID.model, version=version, weights_digest=digest),
        findings=(replace(finding, score=score, presence=presence),),
    )
    return Reading(film=identity, geometry=None, grayscale="", prediction=said)
