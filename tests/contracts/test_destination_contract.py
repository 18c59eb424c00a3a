"""Contract of every kind of destination; a new kind is added to `KINDS`."""

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import pytest
from pydantic import Field

from cxr_node import config
from cxr_node.audit import events
from cxr_node.audit.events import Application
from cxr_node.audit.message import AuditMessage
from cxr_node.deliver import destinations
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import (
    DeliveryRejected,
    Destination,
    DestinationKind,
    ExportUri,
    Probe,
    Receipt,
)
from cxr_node.deliver.fhir import Fhir
from cxr_node.deliver.folder import FolderDestination
from cxr_node.deliver.hl7 import Hl7
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.stow import Stow
from cxr_node.domain.clock import utc_now
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.ops import conformance, example_config
from cxr_node.ops.checks.destinations import check_destination
from cxr_node.ops.checks.node import Status, ok
from cxr_node.report.kinds import tid1500
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.fhir import SimulatedFhir
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from cxr_node.simulators.ris import SimulatedRis
from cxr_node.wiring import audit_decorators, compose
from cxr_node.wiring.audit import Audit
from cxr_node.wiring.deliver import open_destinations
from tests.support import films, peers
from tests.unit.report.studies import everything, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A destination and its stored objects: data set bytes by SOP Instance UID."""

    destination: Destination
    arrived: Callable[[], dict[str, bytes]]
    is_dicom: bool = True


Kind = Callable[[Path], AbstractContextManager[Place]]


@contextmanager
def pacs(_: Path) -> Iterator[Place]:
    stored: list[StoredObject] = []
    with SimulatedPacs(on_stored=stored.append) as peer:
        yield Place(
            destination=pacs_at(peer.port),
            arrived=lambda: {arrived.sop_instance_uid: arrived.data_set for arrived in stored},
        )


@contextmanager
def pacs_away(_: Path) -> Iterator[Place]:
    yield Place(destination=pacs_at(peers.free_port()), arrived=dict)


def pacs_at(port: int) -> Destination:
    return CStoreDestination(
        name="pacs",
        peer=Peer(
            host=peers.LOOPBACK,
            port=port,
            called_ae_title=AeTitle("PACS"),
            calling_ae_title=AeTitle("CXRNODE"),
        ),
    )


@contextmanager
def folder(tmp_path: Path) -> Iterator[Place]:
    place = tmp_path / "results"

    def arrived() -> dict[str, bytes]:
        return {path.stem: films.data_set_bytes(path) for path in place.iterdir()}

    yield Place(destination=FolderDestination(name="folder", folder=place), arrived=arrived)


@contextmanager
def folder_away(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "results").write_text("a file where the folder should be")
    yield Place(destination=FolderDestination(name="folder", folder=tmp_path / "results"), arrived=dict)


@contextmanager
def web(_: Path) -> Iterator[Place]:
    with SimulatedDicomWeb() as server:
        yield Place(
            destination=web_at(server.url),
            arrived=lambda: {uid: data_set_of(server.files[uid]) for uid in server.files},
        )


@contextmanager
def web_away(_: Path) -> Iterator[Place]:
    yield Place(destination=web_at(f"http://{peers.LOOPBACK}:{peers.free_port()}"), arrived=dict)


def web_at(url: str) -> Destination:
    return Stow(name="web", url=url).open(calling_ae_title=AeTitle("CXRNODE"))


def data_set_of(content: bytes) -> bytes:
    return content[films.data_set_offset(content) :]


@contextmanager
def ris(_: Path) -> Iterator[Place]:
    with SimulatedRis() as receiver:

        def arrived() -> dict[str, bytes]:
            """Return the messages by the SOP Instance UID of their report."""
            return {uid: digest.encode() for reports in receiver.by_study.values() for uid, digest in reports.items()}

        yield Place(destination=ris_at(receiver.port), arrived=arrived, is_dicom=False)


@contextmanager
def ris_away(_: Path) -> Iterator[Place]:
    yield Place(destination=ris_at(peers.free_port()), arrived=dict, is_dicom=False)


def ris_at(port: int) -> Destination:
    return Hl7(name="ris", host=peers.LOOPBACK, port=port).open(calling_ae_title=AeTitle("CXRNODE"))


@contextmanager
def fhir(_: Path) -> Iterator[Place]:
    with SimulatedFhir() as server:

        def arrived() -> dict[str, bytes]:
            """Return the reports by the SOP Instance UID that they were made of."""
            reports = server.of_type("DiagnosticReport")
            return {one["identifier"][1]["value"].rpartition(":")[2]: json.dumps(one).encode() for one in reports}

        yield Place(destination=fhir_at(server.url), arrived=arrived, is_dicom=False)


@contextmanager
def fhir_away(_: Path) -> Iterator[Place]:
    yield Place(destination=fhir_at(f"http://{peers.LOOPBACK}:{peers.free_port()}"), arrived=dict, is_dicom=False)


def fhir_at(url: str) -> Destination:
    return Fhir(name="fhir", url=url).open(calling_ae_title=AeTitle("CXRNODE"))


KINDS = pytest.mark.parametrize("kind", [pacs, folder, web, ris, fhir])
AWAY = pytest.mark.parametrize("kind", [pacs_away, folder_away, web_away, ris_away, fhir_away])


def file_of(seed: int, tmp_path: Path) -> tuple[str, bytes]:
    path = films.written(films.dx(seed=seed), tmp_path)
    return path.stem, path.read_bytes()


def content_of(place: Place, seed: int, tmp_path: Path) -> tuple[str, bytes]:
    """Return the SOP Instance UID and file of an object that a destination receives."""
    if place.is_dicom:
        return file_of(seed, tmp_path)
    (result,) = tid1500.REPORT.compose(request([everything(films.dx(seed=seed))]))
    return result.identity.sop_instance_uid, result.content


@KINDS
def test_an_object_arrives_with_its_data_set_unchanged(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        uid, content = content_of(place, 1, tmp_path)
        receipt = place.destination.send(content)

        assert receipt.status == 0
        assert list(place.arrived()) == [uid]
        if place.is_dicom:
            assert place.arrived() == {uid: content[films.data_set_offset(content) :]}


@KINDS
def test_an_object_sent_twice_is_stored_once(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        uid, content = content_of(place, 1, tmp_path)
        place.destination.send(content)
        place.destination.send(content)

        assert list(place.arrived()) == [uid]


@KINDS
def test_objects_do_not_replace_each_other(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        sent = [content_of(place, seed, tmp_path) for seed in range(3)]
        for _, content in sent:
            place.destination.send(content)

        assert sorted(place.arrived()) == sorted(uid for uid, _ in sent)


@KINDS
@pytest.mark.parametrize("content", [b"", b"no DICOM file", bytes(128) + b"DICM", bytes(4096)])
def test_a_file_that_is_no_dicom_is_rejected_permanently(kind: Kind, content: bytes, tmp_path: Path) -> None:
    with kind(tmp_path) as place, pytest.raises(DeliveryRejected):
        place.destination.send(content)


@KINDS
def test_a_destination_has_a_name(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        assert place.destination.name == kind.__name__


@AWAY
def test_an_unreachable_destination_is_retried(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        _, content = content_of(place, 1, tmp_path)
        with pytest.raises(RetryLater):
            place.destination.send(content)


class Memory(DestinationKind):
    """A test kind: keeps objects in memory under a name."""

    kind: Literal["memory"] = Field("memory", description="Kind of destination.")
    key: str = Field(description="Name of the memory.")

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = (Uid("1.2.3.4"),)
    stored: ClassVar[list[bytes]] = []

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="memory", key="results")

    @property
    def peer_name(self) -> str:
        """The key."""
        return self.key

    @property
    def audit_target(self) -> ExportUri:
        """A URI of the key."""
        return ExportUri(uri=f"memory:{self.key}")

    def open(self, *, calling_ae_title: AeTitle) -> Destination:
        """Return the table itself, which is a destination."""
        assert calling_ae_title == "CXRNODE"
        return self

    def send(self, content: bytes) -> Receipt:
        """Store the object."""
        self.stored.append(content)
        return Receipt(status=0)

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:  # noqa: ARG002  # of every kind
        """Accept every SOP Class."""
        return Probe(message=f"memory {self.key} is there", accepted=dict.fromkeys(sop_class_uids, (Uid("1.2"),)))


@pytest.fixture
def _third_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "DESTINATIONS", (*destinations.DESTINATIONS, Memory))
    monkeypatch.setattr(Memory, "stored", [])


CONFIGURED: tuple[type[DestinationKind], ...] = (*destinations.DESTINATIONS, Memory)
KIND_NAMES = " or ".join(f'"{kind.example().kind}"' for kind in CONFIGURED)
TABLES = {"deliver": {"destinations": [{"kind": "memory", "name": "third", "key": "results"}]}}


@pytest.mark.usefixtures("_third_kind")
def test_a_third_kind_is_one_class_and_a_line_in_the_list(tmp_path: Path) -> None:
    """Settings, example, doctor, conformance statement, delivery and audit trail find it by the list alone."""
    settings = config.parse(TABLES)
    example = tomllib.loads(example_config.text().replace("# [[", "[[").replace("# kind", "kind"))
    (check, *results) = check_destination(settings, settings.deliver.destinations[0]).checks
    recorded: list[AuditMessage] = []
    application = Application(ae_title="CXRNODE", process_id=1, host="node-1")
    audit = Audit(application=application, record=recorded.append, clock=utc_now)
    audited = audit_decorators.destinations(audit, settings.deliver.destinations, open_destinations(settings))
    _, content = file_of(1, tmp_path)

    assert audited["third"].send(content).status == 0

    assert Memory.stored == [content]
    assert [message.event for message in recorded] == [events.EXPORT]
    assert check == ok("destination third", "memory results is there")
    assert {result.status for result in results} == {Status.OK}
    assert "memory" in [row["kind"] for row in example["deliver"]["destinations"]]
    assert "`1.2.3.4`" in conformance.tables()["services"]
    assert compose.routes(settings)["third"].peer == "results"


@pytest.mark.usefixtures("_third_kind")
@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"kind": "memory", "name": "x"}, "x.key: must be set (Name of the memory.)"),
        (
            {"kind": "memory", "name": "x", "kye": "y", "key": "z"},
            "x.kye: there is no such setting; did you mean 'key'?",
        ),
        ({"kind": "ftp"}, f'0.kind: "ftp" is not right; expected {KIND_NAMES} (Kind of destination.)'),
    ],
)
def test_problems_in_the_settings_of_a_third_kind_are_named(table: dict[str, str], problem: str) -> None:
    with pytest.raises(config.ConfigurationError) as raised:
        config.parse({"deliver": {"destinations": [table]}})
    assert raised.value.problems == [f"deliver.destinations.{problem}"]
