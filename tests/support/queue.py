"""Films and jobs for tests of the queue, without pixels, and a fixed time."""

from datetime import UTC, datetime, timedelta

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.film_attributes import Equipment, FilmAttributes, FilmIdentifiers
from cxr_node.domain.identifiers import AeTitle, Uid, derive_uid, digest_of
from cxr_node.domain.instance import Identity, Instance, Sender
from cxr_node.queue import claiming
from cxr_node.queue.claiming import Claim
from cxr_node.records import ingest
from cxr_node.records.ingest import IncomingFilm

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
SENDER = Sender(calling_ae_title=AeTitle("DX1"), called_ae_title=AeTitle("CXRNODE"), address="127.0.0.1")


def instance(name: str, *, study: str = "study", content: bytes | None = None) -> Instance:
    """Return an instance with identifiers derived from `name`, and with `content` or the name as bytes."""
    content_bytes = content if content is not None else name.encode()
    return Instance(
        identity=Identity(
            sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.1.1"),
            sop_instance_uid=derive_uid("film", name),
            series_instance_uid=derive_uid("series", study),
            study_instance_uid=derive_uid("study", study),
            patient_key=digest_of(b"patient"),
        ),
        transfer_syntax_uid=Uid("1.2.840.10008.1.2.1"),
        digest=digest_of(content_bytes),
        content=content_bytes,
    )


def incoming_film(
    name: str, *, study: str = "study", content: bytes | None = None, priority_boost_s: int = 0, after_s: float = 0
) -> IncomingFilm:
    """Return a film received `after_s` seconds past noon."""
    film = instance(name, study=study, content=content)
    at = NOON + timedelta(seconds=after_s)
    return IncomingFilm(
        instance=film,
        sender=SENDER,
        archive_key=f"films/{film.digest}",
        priority_boost_s=priority_boost_s,
        attributes=attributes(name, study=study),
        at=at,
    )


def attributes(name: str, *, study: str = "study") -> FilmAttributes:
    """Return equipment and identifiers of a film derived from `name`."""
    return FilmAttributes(
        equipment=Equipment(
            modality="DX", manufacturer="Test Films", manufacturer_model_name="Made", station_name=f"ROOM {name}"
        ),
        identifiers=FilmIdentifiers(
            accession_number=f"A {study}", patient_id=f"P {study}", issuer_of_patient_id="Test Hospital",
            study_date="2026-01-02", study_description="Chest",
        ),
    )  # fmt: skip


def store_film(database: Database, name: str, *, study: str = "study", now: datetime = NOON) -> bool:
    """Store a film; return whether it was new."""
    film = instance(name, study=study)
    return ingest.store(database, film, SENDER, archive_key=f"films/{name}", now=now)


def claim_one(
    database: Database, stage: Stage = Stage.READ, *, owner: str = "node/read/1", now: datetime = NOON
) -> Claim:
    """Claim the next job of a stage; fail without one."""
    with database.write() as transaction:
        (claim,) = claiming.claim(transaction, stage, owner=owner, lease=LEASE, now=now)
    return claim


def claim_none(database: Database, stage: Stage = Stage.READ, *, now: datetime = NOON) -> bool:
    """Whether no job of a stage can be claimed."""
    with database.write() as transaction:
        return not claiming.claim(transaction, stage, owner="node/read/2", lease=LEASE, now=now)
