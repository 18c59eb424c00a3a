"""Storage commitment as SCU: a result is delivered when the archive vouches for it, and not before."""

from datetime import timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, build_context, build_role

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.deliver.commitment import CommitmentRequester, FindVerifier
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryVerifier, VerificationRule
from cxr_node.deliver.peer import Peer
from cxr_node.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from cxr_node.domain.identifiers import AeTitle
from cxr_node.net.commitment_data_sets import event_information
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.queue import queue
from cxr_node.queue.search import JobRow
from cxr_node.records import commitment_requests, results
from cxr_node.settings.root import Settings
from cxr_node.simulators.pacs import CommitmentRequest, SimulatedPacs
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from tests.support import films, peers
from tests.support.node import InProcessNode
from tests.support.receiver import deliver_responses_to_requestor

pytestmark = pytest.mark.ci_on_postgresql

AGAIN_S = 60.0


def remote(pacs: SimulatedPacs) -> Peer:
    return Peer(host=peers.LOOPBACK, port=pacs.port, called_ae_title=pacs.ae_title, calling_ae_title=AeTitle("CXRNODE"))


def never(_pacs: SimulatedPacs, _request: CommitmentRequest) -> None:
    """Do not send the result of a request."""


def node_with_report(
    archive: SimulatedPacs, database: Database, folder: Path, verifier: DeliveryVerifier | None = None
) -> InProcessNode:
    """Return a node that has a report to deliver to the archive."""
    requester = verifier or CommitmentRequester(peer=remote(archive), wait_s=1.0)
    node = InProcessNode(
        database,
        folder,
        verification=VerificationRule(verifier=requester, retry_after_s=AGAIN_S),
        pacs=CStoreDestination(name="pacs", peer=remote(archive)),
    )
    node.accept(films.dx())
    assert node.turn(Stage.READ)
    node.clock.advance(seconds=2)
    assert node.turn(Stage.COMPOSE)
    return node


def delivery(node: InProcessNode) -> JobRow:
    (job,) = node.jobs(Stage.DELIVER)
    return job


def fate(node: InProcessNode) -> Fate:
    with node.database.read() as connection:
        (entry,) = ledger.entries(connection)
    return entry.fate


def test_a_commitment_result_on_the_same_association_confirms(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs() as archive:
        node = node_with_report(archive, database, tmp_path)

        assert node.turn(Stage.DELIVER)
        assert len(archive.by_study) == 1
        assert (delivery(node).state, fate(node)) == (State.WAITING, Fate.IN_PROGRESS)

        assert node.turn(Stage.DELIVER)
    assert (delivery(node).state, fate(node)) == (State.DONE, Fate.DELIVERED)
    assert delivery(node).detail == "committed by pacs"


def test_a_commitment_result_on_another_association_confirms(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"node": {"data_folder": tmp_path}, "receive": {"port": 0}, "archive": {"reserve_bytes": 0}}
    )
    with Process.open(settings) as process:
        database = process.database
        migrate.upgrade(database)
        with SimulatedPacs(commit=never) as archive, receiver(process) as scp:
            requester = CommitmentRequester(peer=remote(archive), wait_s=0.0)
            node = node_with_report(archive, database, tmp_path, requester)
            assert node.turn(Stage.DELIVER)
            assert node.turn(Stage.DELIVER)
            assert not node.turn(Stage.DELIVER)
            assert delivery(node).detail == "commitment requested from pacs, no result yet"

            entity = AE(ae_title="PACS")
            opened = entity.associate(
                peers.LOOPBACK,
                scp.port,
                contexts=[build_context(PUSH_MODEL)],
                ae_title="CXRNODE",
                ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
            )
            deliver_responses_to_requestor(opened)
            assert [context.as_scp for context in opened.accepted_contexts] == [True]
            event_type, information = event_information(archive.result_of(archive.commitment_requests[-1]))
            response, _ = opened.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            opened.release()
            assert response.Status == 0x0000

            node.clock.now = max(node.clock.now, delivery(node).due_at)
            assert node.turn(Stage.DELIVER)
            assert delivery(node).state is State.DONE
            assert len(archive.commitment_requests) == 1


def test_a_result_that_the_archive_lacks_is_sent_again(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(forgets=lambda request: request.times == 1) as archive:
        node = node_with_report(archive, database, tmp_path)
        assert node.turn(Stage.DELIVER)
        assert node.turn(Stage.DELIVER)
        assert delivery(node).detail == "pacs accepted the instance and does not have it: to be sent again"
        assert archive.by_study == {}

        for _ in range(2):
            node.clock.advance(seconds=AGAIN_S)
            assert node.turn(Stage.DELIVER)
        assert len(archive.by_study) == 1
    assert (delivery(node).state, fate(node)) == (State.DONE, Fate.DELIVERED)


@pytest.mark.long_on_postgresql  # each of 73 requests is rows that other tests write on both databases
def test_a_request_without_result_is_repeated_for_three_days(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(commit=never) as archive:
        node = node_with_report(archive, database, tmp_path, CommitmentRequester(peer=remote(archive), wait_s=0.0))
        assert node.turn(Stage.DELIVER)
        started = node.clock.now
        while delivery(node).state is State.WAITING:
            node.clock.now = delivery(node).due_at
            assert node.turn(Stage.DELIVER)
        assert timedelta(hours=71) < node.clock.now - started < timedelta(hours=74)
        assert len(archive.commitment_requests) > 72
        assert len(archive.by_study) == 1
    assert (delivery(node).state, fate(node)) == (State.FAILED, Fate.NOT_REPORTED)


def test_a_late_result_of_an_earlier_request_counts(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(commit=never) as archive:
        node = node_with_report(archive, database, tmp_path, CommitmentRequester(peer=remote(archive), wait_s=0.0))
        for _ in range(3):
            assert node.turn(Stage.DELIVER)
            node.clock.now = max(node.clock.now, delivery(node).due_at)
        assert len(archive.commitment_requests) == 2
        with database.write() as transaction:
            assert commitment_requests.settle(
                transaction, archive.result_of(archive.commitment_requests[0]), now=node.clock.now
            )

        assert node.turn(Stage.DELIVER)
    assert delivery(node).state is State.DONE
    assert len(archive.commitment_requests) == 2


def test_an_archive_without_storage_commitment_fails_permanently(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(commit=None) as archive:
        node = node_with_report(archive, database, tmp_path)
        assert node.turn(Stage.DELIVER)
        assert node.turn(Stage.DELIVER)
    assert delivery(node).state is State.FAILED
    assert "does not accept this SOP Class" in delivery(node).detail


def test_a_request_is_repeated_after_a_resource_limitation(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(commit_status=0x0213) as archive:
        node = node_with_report(archive, database, tmp_path)
        assert node.turn(Stage.DELIVER)
        assert node.turn(Stage.DELIVER)
    assert delivery(node).state is State.WAITING
    assert "0x0213" in delivery(node).detail


@pytest.mark.parametrize(("forgets", "state"), [(0, State.DONE), (1, State.WAITING)])
def test_a_result_is_verified_by_c_find(forgets: int, state: State, database: Database, tmp_path: Path) -> None:
    with SimulatedPacs(commit=None, forgets=lambda request: request.times <= forgets) as archive:
        node = node_with_report(archive, database, tmp_path, FindVerifier(peer=remote(archive)))
        assert node.turn(Stage.DELIVER)
        assert node.turn(Stage.DELIVER)
        assert delivery(node).state is state

        node.clock.advance(seconds=AGAIN_S)
        node.work()
        assert delivery(node).state is State.WAITING or len(archive.by_study) == 1


def test_a_retried_delivery_is_sent_again(database: Database, tmp_path: Path) -> None:
    with SimulatedPacs() as archive:
        node = node_with_report(archive, database, tmp_path)
        node.work()
        with database.write() as transaction:
            queue.requeue(transaction, [delivery(node).job_id], actor="person/x", now=node.clock.now)
        node.work()
        assert archive.sent.total() == 2
    assert delivery(node).state is State.DONE


def test_orthanc_finds_a_sent_result(database: Database, tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "orthanc", settings={"DicomAlwaysAllowFind": True}) as archive:
        destination = CStoreDestination(
            name="pacs",
            peer=Peer(
                host=peers.LOOPBACK,
                port=archive.port,
                called_ae_title=AeTitle(archive.ae_title),
                calling_ae_title=AeTitle("CXRNODE"),
            ),
        )
        confirmation = VerificationRule(verifier=FindVerifier(peer=destination.peer), retry_after_s=AGAIN_S)
        node = InProcessNode(database, tmp_path, verification=confirmation, pacs=destination)
        node.accept(films.dx())
        node.work()
    assert (delivery(node).state, fate(node)) == (State.DONE, Fate.DELIVERED)


def test_orthanc_confirms_on_an_association_of_its_own(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"node": {"data_folder": tmp_path}, "receive": {"port": 0}, "archive": {"reserve_bytes": 0}}
    )
    with Process.open(settings) as process:
        database = process.database
        migrate.upgrade(database)
        with receiver(process) as scp:
            us = {"node": ["CXRNODE", peers.LOOPBACK, scp.port]}
            with peers.orthanc(tmp_path / "orthanc", settings={"DicomModalities": us}) as archive:
                destination = CStoreDestination(
                    name="pacs",
                    peer=Peer(
                        host=peers.LOOPBACK,
                        port=archive.port,
                        called_ae_title=AeTitle(archive.ae_title),
                        calling_ae_title=AeTitle("CXRNODE"),
                    ),
                )
                requester = CommitmentRequester(peer=destination.peer, wait_s=0.0)
                node = InProcessNode(
                    database,
                    tmp_path,
                    verification=VerificationRule(verifier=requester, retry_after_s=AGAIN_S),
                    pacs=destination,
                )
                node.accept(films.dx())
                node.work()
                peers.until(lambda: _is_confirmed(database), what="Orthanc's report")
                node.clock.now = max(node.clock.now, delivery(node).due_at)
                node.work()
        assert (delivery(node).state, delivery(node).detail) == (State.DONE, "committed by pacs")


def _is_confirmed(database: Database) -> bool:
    with database.read() as connection:
        return results.get_delivery(connection, 1).is_confirmed
