"""What every kind of destination must do; a new kind is added to `KINDS` and is done when this passes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected, Destination
from cxr_node.deliver.folder import FolderDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from tests.support import films, peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A destination, and what lies there: data set bytes by SOP Instance UID."""

    destination: Destination
    arrived: Callable[[], dict[str, bytes]]


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
        remote=Peer(
            host=peers.LOOPBACK,
            port=port,
            called_ae_title=AeTitle("PACS"),
            calling_ae_title=AeTitle("CXRNODE"),
        ),
    )


@contextmanager
def folder(here: Path) -> Iterator[Place]:
    place = here / "results"

    def arrived() -> dict[str, bytes]:
        return {path.stem: films.data_set_bytes(path) for path in place.iterdir()}

    yield Place(destination=FolderDestination(name="folder", folder=place), arrived=arrived)


@contextmanager
def folder_away(here: Path) -> Iterator[Place]:
    (here / "results").write_text("a file where the folder should be")
    yield Place(destination=FolderDestination(name="folder", folder=here / "results"), arrived=dict)


KINDS = pytest.mark.parametrize("kind", [pacs, folder])
AWAY = pytest.mark.parametrize("kind", [pacs_away, folder_away])


def file_of(seed: int, here: Path) -> tuple[str, bytes]:
    path = films.written(films.dx(seed=seed), here)
    return path.stem, path.read_bytes()


@KINDS
def test_an_object_arrives_with_its_data_set_as_it_was(kind: Kind, tmp_path: Path) -> None:
    uid, content = file_of(1, tmp_path)
    with kind(tmp_path) as place:
        receipt = place.destination.send(content)

        assert receipt.status == 0
        assert place.arrived() == {uid: content[films.data_set_offset(content) :]}


@KINDS
def test_an_object_sent_twice_is_there_once(kind: Kind, tmp_path: Path) -> None:
    uid, content = file_of(1, tmp_path)
    with kind(tmp_path) as place:
        place.destination.send(content)
        place.destination.send(content)

        assert list(place.arrived()) == [uid]


@KINDS
def test_objects_do_not_replace_one_another(kind: Kind, tmp_path: Path) -> None:
    sent = [file_of(seed, tmp_path) for seed in range(3)]
    with kind(tmp_path) as place:
        for _, content in sent:
            place.destination.send(content)

        assert sorted(place.arrived()) == sorted(uid for uid, _ in sent)


@KINDS
@pytest.mark.parametrize("content", [b"", b"no DICOM file", bytes(128) + b"DICM", bytes(4096)])
def test_what_is_no_dicom_file_is_refused_for_good(kind: Kind, content: bytes, tmp_path: Path) -> None:
    with kind(tmp_path) as place, pytest.raises(DeliveryRejected):
        place.destination.send(content)


@KINDS
def test_a_destination_has_a_name(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as place:
        assert place.destination.name == kind.__name__


@AWAY
def test_a_destination_that_is_away_is_tried_again(kind: Kind, tmp_path: Path) -> None:
    _, content = file_of(1, tmp_path)
    with kind(tmp_path) as place, pytest.raises(RetryLater):
        place.destination.send(content)
