"""Simulated PACS of the demo, as a destination."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import encode

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from tests.support import films, peers
from tests.support.receiver import association, store


def destination(pacs: SimulatedPacs) -> CStoreDestination:
    return CStoreDestination(
        name="pacs",
        peer=Peer(
            host=peers.LOOPBACK,
            port=pacs.port,
            called_ae_title=pacs.ae_title,
            calling_ae_title=AeTitle("CXRNODE"),
        ),
    )


def test_a_sent_object_is_a_file_named_by_its_uid(tmp_path: Path) -> None:
    film = films.written(films.cr(), tmp_path)
    stored: list[StoredObject] = []
    with SimulatedPacs(tmp_path / "pacs", on_stored=stored.append) as pacs:
        destination(pacs).send(film.read_bytes())

    filed = tmp_path / "pacs" / film.name
    assert [arrived.path for arrived in stored] == [filed]
    assert films.data_set_bytes(filed) == films.data_set_bytes(film)
    assert dcmread(filed).file_meta.TransferSyntaxUID == dcmread(film).file_meta.TransferSyntaxUID


def test_an_object_sent_twice_is_one_file(tmp_path: Path) -> None:
    film = films.written(films.cr(), tmp_path)
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        destination(pacs).send(film.read_bytes())
        destination(pacs).send(film.read_bytes())
    assert [path.name for path in (tmp_path / "pacs").iterdir()] == [film.name]


@pytest.mark.parametrize(
    "sop_class_uid",
    [
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
        "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    ],
)
def test_every_kind_of_result_is_accepted(sop_class_uid: str, tmp_path: Path) -> None:
    with (
        SimulatedPacs(tmp_path / "pacs") as pacs,
        association(pacs.port, sop_class_uid=sop_class_uid, called=pacs.ae_title) as opened,
    ):
        assert opened.is_established


def test_it_responds_to_dcmtk_echo(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path) as pacs:
        assert peers.echoscu(pacs.port, called=pacs.ae_title).returncode == 0


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")  # pydicom, of the request's UID
def test_a_uid_with_a_path_is_not_used_as_a_path(tmp_path: Path) -> None:
    data_set = encode(films.dx(), False, True)
    assert data_set is not None
    with (
        SimulatedPacs(tmp_path / "pacs") as pacs,
        association(pacs.port, called=pacs.ae_title) as opened,
    ):
        assert store(opened, data_set, sop_instance_uid="../outside")[0] == 0xC000
    assert [path.name for path in tmp_path.rglob("*")] == ["pacs"]
