"""The simulated modality of the demo and `send`, against real and simulated peers."""

import threading
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES

from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators import modality
from cxr_node.simulators.modality import SendResult
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject, StoreRequest
from tests.support import films, peers
from tests.support.receiver import receiving

PACS = AeTitle("PACS")
MODALITY = AeTitle("MODALITY")


def send(*sent: Path | Dataset, port: int, on_sent: list[SendResult] | None = None) -> list[SendResult]:
    reported = on_sent if on_sent is not None else []
    return modality.send(
        sent,
        host=peers.LOOPBACK,
        port=port,
        called_ae_title=PACS,
        calling_ae_title=MODALITY,
        timeout_s=30,
        on_sent=reported.append,
    )


def echo(port: int, *, timeout_s: float = 30.0) -> float:
    return modality.echo(
        host=peers.LOOPBACK, port=port, called_ae_title=PACS, calling_ae_title=MODALITY, timeout_s=timeout_s
    )


def test_films_of_several_classes_use_one_association_in_order(tmp_path: Path) -> None:
    film = films.written(films.cr(), tmp_path)
    reported: list[SendResult] = []
    with receiving(require_called_ae_title=False, maximum_associations=1) as node:
        results = send(films.dx(), film, films.sc(), port=node.port, on_sent=reported)

        assert node.sop_instance_uids == [films.dx().SOPInstanceUID, film.stem, films.sc().SOPInstanceUID]
    assert results == reported
    assert [result.stored for result in results] == [True, True, True]
    assert results[1].film == str(film)
    assert results[1].size_bytes == len(films.data_set_bytes(film))
    assert results[1].seconds > 0


def test_a_file_is_sent_unchanged_whatever_its_meta_information(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(film.read_bytes().replace(b"\x02\x00\x03\x00UI", b"\x02\x00\x99\x00UI"))  # no instance UID in it
    stored: list[StoredObject] = []
    with SimulatedPacs(on_stored=stored.append) as pacs:
        (result,) = send(bare, port=pacs.port)

    assert result.stored
    assert [(arrived.sop_instance_uid, arrived.data_set) for arrived in stored] == [
        (film.stem, films.data_set_bytes(film))
    ]


def test_more_than_128_contexts_use_two_associations(tmp_path: Path) -> None:
    encapsulated = [uid for uid in ALL_TRANSFER_SYNTAXES if UID(uid).is_encapsulated]
    kinds = [(sop_class, syntax) for sop_class in peers.STORAGE for syntax in encapsulated]
    assert len(kinds) > 128
    paths = []
    for number, (sop_class, syntax) in enumerate(kinds):
        film = films.dx(rows=2, columns=2, changes={"SOPClassUID": sop_class, "SOPInstanceUID": f"1.2.{number}"})
        path = films.written(film, tmp_path)
        content = path.read_bytes()
        # The head has another transfer syntax than the pixel data: the sender does not check.
        paths.append(path)
        path.write_bytes(retold(content, transfer_syntax_uid=syntax))
    stored: list[StoredObject] = []
    with SimulatedPacs(on_stored=stored.append) as pacs:
        results = send(*paths, port=pacs.port)

    assert [result.stored for result in results] == [True] * len(kinds)
    assert [(arrived.sop_instance_uid, arrived.transfer_syntax_uid) for arrived in stored] == [
        (f"1.2.{number}", syntax) for number, (_, syntax) in enumerate(kinds)
    ]


def retold(content: bytes, *, transfer_syntax_uid: str) -> bytes:
    """Return the DICOM file `content` with another Transfer Syntax UID (0002,0010) in its head."""
    value = transfer_syntax_uid.encode() + b"\0" * (len(transfer_syntax_uid) % 2)
    start = content.index(b"\x02\x00\x10\x00UI")
    end = start + 8 + int.from_bytes(content[start + 6 : start + 8], "little")
    element = b"\x02\x00\x10\x00UI" + len(value).to_bytes(2, "little") + value
    length = int.from_bytes(content[140:144], "little") + len(element) - (end - start)
    return content[:140] + length.to_bytes(4, "little") + content[144:start] + element + content[end:]


def test_a_file_that_is_no_film_does_not_stop_the_others(tmp_path: Path) -> None:
    note = tmp_path / "README.txt"
    note.write_text("These are films.")
    with SimulatedPacs() as pacs:
        results = send(note, tmp_path / "missing.dcm", films.dx(), port=pacs.port)

        assert len(pacs.by_study) == 1
    by_film = {result.film: result for result in results}
    assert "not a film" in by_film[str(note)].comment
    assert by_film[str(tmp_path / "missing.dcm")].status is None
    assert by_film[films.dx().SOPInstanceUID].stored


def test_after_an_abort_a_new_association_is_used() -> None:
    unwanted = films.dx(seed=2).SOPInstanceUID

    def answer(request: StoreRequest) -> int:
        if request.sop_instance_uid == unwanted:
            request.association.abort()
        return 0

    with SimulatedPacs(status=answer) as pacs:
        results = send(films.dx(seed=1), films.dx(seed=2), films.dx(seed=3), port=pacs.port)

    assert [result.status for result in results] == [0, None, 0]
    assert results[1].comment == "no response"


def test_a_rejected_film_does_not_stop_the_others() -> None:
    with SimulatedPacs(sop_classes=[films.dx().SOPClassUID]) as pacs:
        results = send(films.cr(), films.dx(), port=pacs.port)

    assert [result.stored for result in results] == [False, True]
    assert "not accepted" in results[0].comment


def test_a_failure_is_reported_with_its_status() -> None:
    with SimulatedPacs(status=0xA700) as pacs:
        (result,) = send(films.dx(), port=pacs.port)
    assert (result.status, result.stored) == (0xA700, False)


def test_an_unreachable_peer_is_a_result_for_every_film() -> None:
    results = send(films.dx(), films.cr(), port=peers.free_port())
    assert [result.status for result in results] == [None, None]
    assert all("no association with PACS" in result.comment for result in results)


def test_a_rejection_is_reported_with_its_reason() -> None:
    with SimulatedPacs(calling_ae_titles=["OTHER"]) as pacs:
        (result,) = send(films.dx(), port=pacs.port)
    assert "Calling AE title not recognised" in result.comment


def test_echo_returns_the_response_time() -> None:
    with SimulatedPacs() as pacs:
        assert 0 < echo(pacs.port) < 30


def test_echo_of_an_unreachable_or_silent_peer_is_an_error() -> None:
    with pytest.raises(ConnectionError, match=r"no association.*: the connection is refused: no program listens there"):
        echo(peers.free_port())
    stop = threading.Event()
    with peers.line(lambda _connection: wait(stop)) as port:
        with pytest.raises(ConnectionError, match=r"no association.*: it accepts connections, but .*did not answer"):
            echo(port, timeout_s=0.3)
        stop.set()


def wait(stop: threading.Event) -> None:
    stop.wait(30)
