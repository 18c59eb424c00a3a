"""Storage commitment as provider: requests of modalities and their results."""

import queue as queues
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from cxr_node import pipeline
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.deliver.commitment import send_result
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.peer import Peer
from cxr_node.domain.commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    CommitmentLimits,
    CommitmentResult,
    FailureReason,
    Reference,
)
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, new_uid
from cxr_node.net.commitment_data_sets import action_information, parse_action, parse_event
from cxr_node.records import commitments
from cxr_node.settings.root import Settings
from cxr_node.simulators.commitment import CommitmentListener
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from tests.support import films, peers
from tests.support.node import InProcessNode, received
from tests.support.queue import NOON, SENDER
from tests.support.receiver import deliver_responses_to_requestor

pytestmark = pytest.mark.ci_on_postgresql

TRANSACTION = Uid("1.2.826.0.1.3680043.8.1055.77.1")


def remote(listener: CommitmentListener) -> Peer:
    return Peer(
        host=peers.LOOPBACK, port=listener.port, called_ae_title=AeTitle("DX1"), calling_ae_title=AeTitle("CXRNODE")
    )


def reference(film: Dataset, **changes: str) -> Reference:
    uids = {"sop_class_uid": str(film.SOPClassUID), "sop_instance_uid": str(film.SOPInstanceUID)} | changes
    return Reference(**{name: Uid(uid) for name, uid in uids.items()})


def store_request(node: InProcessNode, *instances: Reference, transaction_uid: Uid = TRANSACTION) -> int:
    return commitments.store(node.database, transaction_uid, instances, SENDER, due_at=NOON, now=NOON)


def answers(node: InProcessNode) -> list[tuple[State, str]]:
    return [(job.state, job.detail) for job in node.jobs(Stage.COMMIT)]


def test_a_modality_gets_committed_instances_and_failure_reasons(database: Database, tmp_path: Path) -> None:
    stored, lost, damaged, never_sent = films.dx(), films.dx(seed=1), films.dx(seed=2), films.dx(seed=3)
    with CommitmentListener("DX1") as peer:
        node = InProcessNode(database, tmp_path, peers={"DX1": remote(peer)})
        for film in (stored, lost, damaged):
            node.accept(film)
        keys = {str(film.SOPInstanceUID): key_of(node, film) for film in (lost, damaged)}
        node.archive.discard(keys[lost.SOPInstanceUID])
        whole = node.archive.get(keys[damaged.SOPInstanceUID])
        node.archive.put(keys[damaged.SOPInstanceUID], whole[:-1] + bytes([whole[-1] ^ 1]))
        other_class = reference(stored, sop_class_uid="1.2.840.10008.5.1.4.1.1.1")
        store_request(node, reference(stored), *(reference(film) for film in (lost, damaged, never_sent)), other_class)

        assert node.turn(Stage.COMMIT)

        event_type, result = peer.results.get(timeout=60)
    assert event_type == 2
    assert result.transaction_uid == TRANSACTION
    assert result.committed == (reference(stored),)
    assert result.failed == (
        (reference(lost), FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (reference(damaged), FailureReason.PROCESSING_FAILURE),
        (reference(never_sent), FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (other_class, FailureReason.CLASS_INSTANCE_CONFLICT),
    )
    assert answers(node) == [(State.DONE, "1 committed, 4 not")]


def test_an_unreachable_modality_gets_the_result_later(database: Database, tmp_path: Path) -> None:
    film = films.dx()
    with CommitmentListener("DX1") as away:
        gone = remote(away)
    node = InProcessNode(database, tmp_path, peers={"DX1": gone})
    node.accept(film)
    store_request(node, reference(film))
    assert node.turn(Stage.COMMIT)
    assert answers(node)[0][0] is State.WAITING

    with CommitmentListener("DX1") as peer:
        later = InProcessNode(database, tmp_path, peers={"DX1": remote(peer)})
        later.clock.advance(minutes=1)
        assert later.turn(Stage.COMMIT)
        assert peer.results.get(timeout=60) == (
            1,
            CommitmentResult(transaction_uid=TRANSACTION, committed=(reference(film),)),
        )
    assert answers(node)[0][0] is State.DONE


def test_a_repeated_request_is_answered_but_not_with_other_films(database: Database, tmp_path: Path) -> None:
    film = films.dx()
    with CommitmentListener("DX1") as peer:
        node = InProcessNode(database, tmp_path, peers={"DX1": remote(peer)})
        node.accept(film)
        for _ in range(2):
            store_request(node, reference(film))
            assert node.turn(Stage.COMMIT)
            assert peer.results.get(timeout=60)[1].committed == (reference(film),)
        with pytest.raises(commitments.OtherRequest):
            store_request(node, reference(films.dx(seed=1)))
    assert len(answers(node)) == 1


def test_a_modality_that_rejects_the_result_fails_permanently(database: Database, tmp_path: Path) -> None:
    with CommitmentListener("DX1", status=0x0115) as peer:
        node = InProcessNode(database, tmp_path, peers={"DX1": remote(peer)})
        store_request(node, reference(films.dx()))
        assert node.turn(Stage.COMMIT)
    ((state, detail),) = answers(node)
    assert state is State.FAILED
    assert "0x0115" in detail


def test_a_request_that_cannot_be_answered_expires(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    store_request(node, reference(films.dx()))
    assert node.turn(Stage.COMMIT)
    assert answers(node) == [
        (State.DONE, "expired: DX1 ended its association, and has no address in [[receive.commitment_peers]]")
    ]


def test_an_instance_named_ten_thousand_times_is_read_once() -> None:
    film = films.dx()
    information = action_information(TRANSACTION, [reference(film)] * 10_000)

    assert parse_action(information) == (TRANSACTION, (reference(film),))


@pytest.mark.parametrize(
    ("requester", "reason"),
    [
        (("SPY", "192.0.2.9"), FailureReason.NO_SUCH_OBJECT_INSTANCE),
        ((SENDER.calling_ae_title, "192.0.2.9"), None),
        (("COMMIT_AE", SENDER.address), None),
        (None, None),
    ],
    ids=["neither", "its AE title", "its address", "anybody"],
)
def test_only_the_sender_learns_that_a_film_is_stored(
    database: Database, tmp_path: Path, requester: tuple[str, str] | None, reason: FailureReason | None
) -> None:
    film = films.dx()
    node = InProcessNode(database, tmp_path)
    node.accept(film)

    result = committed(node, [film], CommitmentLimits(requester=requester))

    assert result.failed == (() if reason is None else ((reference(film), reason),))


def test_no_more_bytes_are_read_than_the_budget_allows(database: Database, tmp_path: Path) -> None:
    first, second = films.dx(), films.dx(seed=1)
    node = InProcessNode(database, tmp_path)
    for film in (first, second):
        node.accept(film)
    size = len(node.archive.get(key_of(node, first)))

    result = committed(node, [first, second], CommitmentLimits(budget_bytes=size + size // 2))

    assert result.committed == (reference(first),)
    assert result.failed == ((reference(second), FailureReason.RESOURCE_LIMITATION),)


def test_reading_ends_with_the_association(database: Database, tmp_path: Path) -> None:
    film = films.dx()
    node = InProcessNode(database, tmp_path)
    node.accept(film)
    states = iter((False, True))

    with pytest.raises(RetryLater, match="ended its association"):
        committed(node, [film, film], CommitmentLimits(is_over=lambda: next(states)))


def committed(node: InProcessNode, wanted: Sequence[Dataset], limits: CommitmentLimits) -> CommitmentResult:
    references = [reference(film) for film in wanted]
    return pipeline.commit(TRANSACTION, references, archive=node.archive, database=node.database, limits=limits)


@contextmanager
def receiving_node(folder: Path, **receive: object) -> Iterator[tuple[int, InProcessNode]]:
    """Run the receiving part of a node; yield its port, and the rest of it."""
    table = {"port": 0, **receive}
    settings = Settings.model_validate(
        {"node": {"data_folder": folder}, "receive": table, "archive": {"reserve_bytes": 0}}
    )
    with Process.open(settings) as process:
        migrate.upgrade(process.database)
        with receiver(process) as scp:
            yield scp.port, InProcessNode(process.database, folder)


@contextmanager
def commitment_scu(
    port: int, on_result: Callable[[evt.Event], tuple[int, None]] = lambda _: (0x0000, None)
) -> Iterator[Association]:
    entity = AE(ae_title="DX1")
    opened = entity.associate(
        peers.LOOPBACK,
        port,
        contexts=[build_context(PUSH_MODEL)],
        ae_title="CXRNODE",
        ext_neg=[build_role(PUSH_MODEL, scu_role=True)],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_result)],
    )
    deliver_responses_to_requestor(opened)
    assert opened.is_established
    try:
        yield opened
    finally:
        opened.release()
        connection = opened.dul.socket
        if connection is not None and connection.socket is not None:
            connection.socket.close()


def request_commitment(
    opened: Association, information: Dataset, *, action: int = REQUEST, instance: str = PUSH_MODEL_INSTANCE
) -> int:
    status, _ = opened.send_n_action(information, action, PUSH_MODEL, instance)
    return cast("int", status.Status)


def test_a_peer_without_an_address_gets_the_result_on_its_association(tmp_path: Path) -> None:
    results: queues.Queue[CommitmentResult] = queues.Queue()
    film = films.dx()

    def on_result(event: evt.Event) -> tuple[int, None]:
        results.put(parse_event(event.event_information))
        return 0x0000, None

    with receiving_node(tmp_path) as (port, node):
        node.accept(film)
        with commitment_scu(port, on_result) as opened:
            assert request_commitment(opened, action_information(TRANSACTION, [reference(film)])) == 0x0000
            assert results.get(timeout=60) == CommitmentResult(
                transaction_uid=TRANSACTION, committed=(reference(film),)
            )
            # The response to a result follows `on_result`, and none may be sent once the release is requested.
            peers.until(lambda: _are_answered(node, 1), what="the answer's row")
        node.clock.now = node.jobs(Stage.COMMIT)[0].due_at
        assert node.turn(Stage.COMMIT)
        assert answers(node) == [(State.DONE, "answered on the association of the request")]


def test_messages_of_several_threads_are_not_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results: queues.Queue[CommitmentResult] = queues.Queue()
    film = films.dx()
    transactions = [Uid(f"{TRANSACTION}.{number}") for number in range(4)]
    send = DULServiceProvider.send_pdu

    def send_and_dawdle(provider: DULServiceProvider, primitive: Any) -> None:
        send(provider, primitive)
        # Long enough for another thread of the node to begin between the parts of a message; the peer is not tested.
        if provider.assoc.is_acceptor:
            threading.Event().wait(0.02)

    def on_result(event: evt.Event) -> tuple[int, None]:
        results.put(parse_event(event.event_information))
        return 0x0000, None

    monkeypatch.setattr(DULServiceProvider, "send_pdu", send_and_dawdle)
    with receiving_node(tmp_path) as (port, node):
        node.accept(film)
        with commitment_scu(port, on_result) as opened:
            for transaction_uid in transactions:
                assert request_commitment(opened, action_information(transaction_uid, [reference(film)])) == 0x0000
            transaction_uids = [results.get(timeout=60).transaction_uid for _ in transactions]
            # The response to a result follows `on_result`, and none may be sent once the release is requested.
            peers.until(lambda: _are_answered(node, len(transactions)), what="the response to each result")
    assert sorted(transaction_uids) == transactions


def test_an_association_with_too_many_requests_is_refused_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of one association are read one after the other, so that requests pile up behind a slow one."""
    film, is_open, reading = films.dx(), threading.Event(), list[str]()

    def slow_commit(transaction_uid: Uid, *_arguments: object, **_options: object) -> CommitmentResult:
        reading.append(transaction_uid)
        is_open.wait(60)
        return CommitmentResult(transaction_uid=transaction_uid, committed=(reference(film),))

    monkeypatch.setattr(pipeline, "commit", slow_commit)
    with receiving_node(tmp_path) as (port, _), commitment_scu(port) as opened:
        first = request_commitment(opened, action_information(Uid(f"{TRANSACTION}.0"), [reference(film)]))
        peers.until(lambda: bool(reading), what="the first result being read")
        statuses = [
            request_commitment(opened, action_information(Uid(f"{TRANSACTION}.{number}"), [reference(film)]))
            for number in range(1, 18)
        ]
        assert len(reading) == 1
        is_open.set()
    assert [first, *statuses] == [0x0000] * 17 + [0x0213]


def test_a_request_survives_its_association_and_the_process(tmp_path: Path) -> None:
    film = films.dx()
    with CommitmentListener("DX1") as peer:
        commitment_peers = [{"ae_title": "DX1", "host": peers.LOOPBACK, "port": peer.port}]
        with receiving_node(tmp_path, commitment_peers=commitment_peers) as (port, node):
            node.accept(film)
            with commitment_scu(port) as opened:
                assert request_commitment(opened, action_information(TRANSACTION, [reference(film)])) == 0x0000
            (job,) = node.jobs(Stage.COMMIT)
        assert peer.results.empty()
        with receiving_node(tmp_path) as (_, started_again):
            later = InProcessNode(started_again.database, tmp_path, peers={"DX1": remote(peer)})
            later.clock.now = job.due_at
            assert later.turn(Stage.COMMIT)
            assert peer.results.get(timeout=60)[1].committed == (reference(film),)


def test_orthanc_requests_commitment_and_gets_the_result(tmp_path: Path) -> None:
    film, never_sent = films.dx(), films.dx(seed=1)
    with peers.orthanc(tmp_path / "orthanc") as orthanc:
        commitment_peers = [{"ae_title": orthanc.ae_title, "host": peers.LOOPBACK, "port": orthanc.port}]
        with receiving_node(tmp_path, commitment_peers=commitment_peers) as (port, node):
            node.accept(film)
            orthanc.send("PUT", "/modalities/us", ["CXRNODE", peers.LOOPBACK, port])
            wanted = [[str(requested.SOPClassUID), str(requested.SOPInstanceUID)] for requested in (film, never_sent)]
            response = orthanc.send("POST", "/modalities/us/storage-commitment", {"DicomInstances": wanted})
            remote = Peer(
                host=peers.LOOPBACK,
                port=orthanc.port,
                called_ae_title=AeTitle(orthanc.ae_title),
                calling_ae_title=AeTitle("CXRNODE"),
            )
            answering = InProcessNode(node.database, tmp_path, peers={orthanc.ae_title: remote})
            answering.clock.now = node.jobs(Stage.COMMIT)[0].due_at
            assert answering.turn(Stage.COMMIT)
            result = orthanc.get(f"/storage-commitment/{response['ID']}")
    assert isinstance(result, dict)
    assert result["Status"] == "Failure"
    assert [instance["SOPInstanceUID"] for instance in result["Success"]] == [film.SOPInstanceUID]
    assert [instance["SOPInstanceUID"] for instance in result["Failures"]] == [never_sent.SOPInstanceUID]


def test_an_invalid_request_is_rejected_and_the_next_answered(tmp_path: Path) -> None:
    film = films.dx()
    good = action_information(TRANSACTION, [reference(film)])
    without_transaction = action_information(TRANSACTION, [reference(film)])
    del without_transaction.TransactionUID
    with receiving_node(tmp_path) as (port, node):
        has_result = threading.Event()

        def on_result(_: evt.Event) -> tuple[int, None]:
            has_result.set()
            return 0x0000, None

        with commitment_scu(port, on_result) as opened:
            assert request_commitment(opened, action_information(TRANSACTION, [])) == 0x0115
            assert request_commitment(opened, without_transaction) == 0x0115
            assert request_commitment(opened, good, action=2) == 0x0123
            assert request_commitment(opened, good, instance="1.2.3") == 0x0112
            assert request_commitment(opened, good) == 0x0000
            assert has_result.wait(60)
            assert request_commitment(opened, action_information(TRANSACTION, [reference(films.dx(seed=1))])) == 0x0115
        assert len(node.jobs(Stage.COMMIT)) == 1


def test_an_unrequested_result_is_rejected(tmp_path: Path) -> None:
    with receiving_node(tmp_path) as (port, _):
        remote = Peer(
            host=peers.LOOPBACK, port=port, called_ae_title=AeTitle("CXRNODE"), calling_ae_title=AeTitle("PACS")
        )
        result = CommitmentResult(transaction_uid=new_uid(), committed=(reference(films.dx()),))
        with pytest.raises(DeliveryRejected, match="0x0115"):
            send_result(remote, result)


def key_of(node: InProcessNode, film: Dataset) -> str:
    with node.database.read() as connection:
        (held,) = commitments.held(connection, received(film).identity.sop_instance_uid)
    return held.archive_key


def _are_answered(node: InProcessNode, count: int) -> bool:
    with node.database.read() as connection:
        return all(commitments.get(connection, number + 1).is_reported for number in range(count))
