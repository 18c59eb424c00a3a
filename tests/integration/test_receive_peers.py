"""The receiver with real peers: DCMTK's programs and the project's own modality."""

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import AeTitle, digest_of
from cxr_node.domain.instance import Instance, Sender
from cxr_node.receive.scp import Receiver
from cxr_node.receive.upper_layer import transport
from cxr_node.simulators import modality
from tests.support import films, peers
from tests.support.peers import LOOPBACK
from tests.support.receiver import OPTIONS, association, receiving

REAL = ("RG1_J2KI", "RG1_JLSN", "siim_SC_JPEG", "pseudo_phi_RLE", "nih_DX_in_SC", "dog_DX_lateral", "RG2_JPLL")


def data_set_of(content: bytes) -> bytes:
    return content[films.data_set_offset(content) :]


def send(port: int, film: Path | Dataset) -> modality.SendResult:
    (result,) = modality.send(
        [film], host=LOOPBACK, port=port, called_ae_title=AeTitle("CXRNODE"), calling_ae_title=AeTitle("MODALITY")
    )
    return result


def test_dcmtk_echo_succeeds() -> None:
    with receiving() as node:
        assert peers.echoscu(node.port).returncode == 0


def test_a_film_from_dcmtk_is_stored_with_its_sender(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    with receiving() as node:
        sent = peers.storescu(node.port, film, calling="DX1")

        assert sent.returncode == 0, sent.stderr
        (instance,), (sender,) = node.instances, node.senders
    assert instance.digest == digest_of(data_set_of(instance.content))
    assert instance.identity.sop_instance_uid == film.stem
    assert (sender.calling_ae_title, sender.called_ae_title, sender.address) == ("DX1", "CXRNODE", LOOPBACK)


@pytest.mark.parametrize("name", REAL)
def test_a_real_film_arrives_unchanged(name: str) -> None:
    film = films.real(name)
    with receiving() as node:
        result = send(node.port, film)

        assert result.stored, result
        (instance,) = node.instances
    assert data_set_of(instance.content) == films.data_set_bytes(film)
    assert instance.digest == digest_of(films.data_set_bytes(film))


def test_a_film_without_preamble_and_meta_arrives_as_implicit_vr() -> None:
    film = films.real("CR-MONO1-10-chest")
    with receiving() as node:
        result = send(node.port, film)

        assert result.stored, result
        (instance,) = node.instances
    assert instance.transfer_syntax_uid == "1.2.840.10008.1.2"
    assert data_set_of(instance.content) == film.read_bytes()


def test_dcmtk_reads_the_stored_file(tmp_path: Path) -> None:
    with receiving() as node:
        sent = peers.storescu(node.port, films.written(films.cr(), tmp_path), calling="CR1")
        assert sent.returncode == 0, sent.stderr
        (instance,) = node.instances
    path = tmp_path / "stored.dcm"
    path.write_bytes(instance.content)

    meta = peers.run("dcmdump", "-q", "+P", "0002,0016", "+P", "0002,0003", str(path)).stdout

    assert "[CR1]" in meta
    assert f"[{instance.identity.sop_instance_uid}]" in meta


def test_dcmtk_sends_compressed_films_in_their_transfer_syntax(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    compressed = tmp_path / "jpeg_lossless.dcm"
    assert peers.run("dcmcjpeg", "+e1", str(film), str(compressed)).returncode == 0
    with receiving() as node:
        sent = peers.storescu(node.port, compressed, options=["--propose-lossless"])
        assert sent.returncode == 0, sent.stderr
        (instance,) = node.instances
    assert instance.transfer_syntax_uid == "1.2.840.10008.1.2.4.70"


def test_many_films_on_many_associations_all_arrive(tmp_path: Path) -> None:
    sent = {seed: films.written(films.dx(seed=seed), tmp_path) for seed in range(16)}
    exit_codes: list[int] = []

    def send_some(some: list[Path]) -> None:
        exit_codes.append(peers.storescu(node.port, *some).returncode)

    with receiving() as node:
        shares = [list(sent.values())[start::4] for start in range(4)]
        senders = [threading.Thread(target=send_some, args=(share,)) for share in shares]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

        assert exit_codes == [0, 0, 0, 0]
        assert sorted(node.sop_instance_uids) == sorted(path.stem for path in sent.values())


def test_tcp_acknowledgements_and_responses_are_not_delayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[tuple[int, int, int]] = []
    set_option, receive = socket.socket.setsockopt, transport._read_available
    reads = 0

    def record(connection: socket.socket, level: int, option: int, value: int) -> None:
        options.append((level, option, value))
        set_option(connection, level, option, value)

    def count(connection: socket.socket, buffer: memoryview) -> int:
        nonlocal reads
        arrived = receive(connection, buffer)
        reads += arrived > 0
        return arrived

    film = films.written(films.dx(rows=2000, columns=1500), tmp_path)
    with receiving() as node, monkeypatch.context() as context:
        context.setattr(socket.socket, "setsockopt", record)
        context.setattr(transport, "_read_available", count)
        # From another process, so that only the receiving end is recorded.
        assert peers.storescu(node.port, film).returncode == 0

    assert reads > 10
    # Linux clears the option by itself: once for the connection, and again after each read.
    assert options.count((socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)) == 1 + reads
    assert options.count((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)) == 1


def test_an_unknown_called_title_is_rejected_with_its_reason() -> None:
    with receiving() as node:
        refused = peers.echoscu(node.port, called="PACS")
        assert refused.returncode != 0
        assert "Called AE Title Not Recognized" in refused.stderr


def test_an_unlisted_peer_is_rejected_with_its_reason(tmp_path: Path) -> None:
    film = films.written(films.dx(), tmp_path)
    with receiving(calling_ae_titles=frozenset({AeTitle("DX1")})) as node:
        refused = peers.storescu(node.port, film, calling="DX2")
        assert refused.returncode != 0
        assert "Calling AE Title Not Recognized" in refused.stderr
        assert peers.storescu(node.port, film, calling="DX1").returncode == 0
        assert node.sop_instance_uids == [film.stem]


def test_an_association_above_the_limit_is_rejected_transiently() -> None:
    with receiving(maximum_associations=1) as node, association(node.port) as first:
        assert first.is_established
        with association(node.port) as second:
            answer = second.acceptor.primitive
            assert second.is_rejected
            assert answer is not None
            # PS3.8 table 9-21: transient, service provider (presentation), local limit exceeded
            assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_only_sop_classes_of_chest_films_are_accepted() -> None:
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with receiving() as node, association(node.port, sop_class_uid=ct) as opened:
        assert not opened.is_established
        assert [context.result for context in opened.rejected_contexts] == [3]  # abstract syntax not supported


def test_a_stopped_receiver_can_be_started_again() -> None:
    with receiving() as node:
        port = node.port
    with receiving(port=port) as again:
        assert again.port == port
        assert peers.echoscu(port).returncode == 0


def test_stopping_waits_for_the_film_being_stored() -> None:
    film = films.dx()
    reached, go_on = threading.Event(), threading.Event()

    def accept(_instance: Instance, _sender: Sender) -> None:
        reached.set()
        assert go_on.wait(30)

    with receiving(accept=accept) as node:
        sender = threading.Thread(target=send, args=(node.port, film))
        sender.start()
        assert reached.wait(30)
        threading.Timer(0.2, go_on.set).start()

    assert node.sop_instance_uids == [film.SOPInstanceUID]
    sender.join(30)


def test_a_port_in_use_is_an_error_at_the_start() -> None:
    with receiving() as node, pytest.raises(OSError, match="in use"):
        Receiver(replace(OPTIONS, port=node.port), accept=lambda _instance, _sender: None).start()
