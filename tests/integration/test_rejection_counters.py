"""Rejection counters: over restarts, in status and metrics."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ConnectionFailure,
    StoreRejected,
    TlsFailed,
)
from cxr_node.receive.rejection import Rejection
from cxr_node.receive.status import StoreStatus
from cxr_node.wiring import rejection_counters
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.rejection_counters import RejectionCounters, RejectionRows
from tests.support import films, peers
from tests.support.queue import NOON
from tests.support.running_node import settings_file
from tests.support.web import served_page

pytestmark = pytest.mark.ci_on_postgresql


HERE = "127.0.0.1"


def rejected(title: str) -> AssociationRejected:
    rejection = Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
    return AssociationRejected(calling_ae_title=title, address=HERE, user="", rejection=rejection)


def test_rejected_associations_of_dcmtk_are_counted(tmp_path: Path) -> None:
    path = settings_file(tmp_path / "node", more='[[receive.peers]]\nae_title = "DX1"')
    settings = load(path)
    settings.node.data_folder.mkdir()
    with Process.open(settings) as process, rejection_counters.counting(settings) as counters:
        migrate.upgrade(process.database)
        with receiver(process, on_event=counters.note) as scp:
            assert peers.echoscu(scp.port, calling="DX1").returncode == 0
            assert peers.echoscu(scp.port, calling="DX9").returncode != 0
            assert peers.echoscu(scp.port, calling="DX9").returncode != 0

    assert rejection_counters.counts(settings) == {("DX9", "calling_ae_title_not_recognized"): 2}
    output = CliRunner().invoke(app, ["status", "--config", str(path)]).output
    assert "rejected by this host, in total: DX9 calling_ae_title_not_recognized 2" in output


def test_a_connection_without_an_association_is_counted_by_its_cause(tmp_path: Path) -> None:
    counters = RejectionCounters(tmp_path / "rejections.json")
    for failure in (ConnectionFailure.NOT_A_REQUEST, ConnectionFailure.NOT_A_REQUEST, ConnectionFailure.CLOSED_BY_PEER):
        counters.note(ConnectionFailed(address=HERE, failure=failure, detail="any"))
    counters.write()
    counts = rejection_counters._read(tmp_path / "rejections.json")
    assert counts == {("", "not_a_request"): 2, ("", "closed_by_peer"): 1}


def test_counts_continue_after_a_restart_and_are_written_only_if_changed(tmp_path: Path) -> None:
    path = tmp_path / "rejections.json"
    for expected in (1, 2):
        counters = RejectionCounters(path)
        counters.note(TlsFailed(address=HERE, reason="no handshake"))
        counters.note(AssociationAccepted(calling_ae_title="DX1", address=HERE, user=""))
        counters.note(StoreRejected(calling_ae_title="DX1", address=HERE, status=StoreStatus.CANNOT_UNDERSTAND))
        counters.write()
        assert rejection_counters._read(path) == {("", "no_tls"): expected, ("DX1", "cannot_understand"): expected}
    written = path.stat().st_ino
    counters.write()
    assert path.stat().st_ino == written
    path.write_text("[[", encoding="utf-8")
    assert rejection_counters._read(path) == {}


def test_titles_beyond_the_maximum_share_one_counter(tmp_path: Path) -> None:
    counters = RejectionCounters(tmp_path / "rejections.json")
    for number in range(1000):
        counters.note(rejected(f"X{number}"))
    counters.note(rejected("a\nb\u00e9"))
    counters.write()

    counts = rejection_counters._read(tmp_path / "rejections.json")
    assert len(counts) <= 201
    assert sum(counts.values()) == 1001
    assert counts["", "calling_ae_title_not_recognized"] >= 800
    assert all(title.isprintable() and title.isascii() for title, _ in counts)


def test_full_disk_is_retried_and_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = RejectionCounters(tmp_path / "no" / "rejections.json")
    counters.note(rejected("X"))
    counters.write()
    (tmp_path / "no").mkdir()
    counters.write()

    assert len(rejection_counters._read(tmp_path / "no" / "rejections.json")) == 1


def test_rejections_are_on_the_page_and_in_a_view(tmp_path: Path, database_url: str) -> None:
    with served_page(tmp_path / "node", database_url=database_url) as page:
        settings = load(page.config)
        counters = RejectionCounters(tmp_path / "rejections.json", clock=lambda: NOON)
        seconds = iter((0.0, 61.0, 200.0, 200.0))
        with Process.open(settings) as process:
            rows = RejectionRows(process, counters, clock=lambda: next(seconds))
            counters.note(rejected("DX9"))
            rows.write()
            counters.note(rejected("DX9"))
            rows.write()
            rows.write()
        with page.visited_by("op") as client:
            text = client.get("/refusals").text.partition('id="rejections"')[2]
            (row,) = client.get("/api/v1/tables/rejections?since=all").json()["rows"]
        with page.visited_by("admin") as client:
            assert "DX9" in client.get("/rejections?since=all").text
    queried = CliRunner().invoke(app, ["query", "v1_rejections", "--csv", "--config", str(page.config)]).output

    assert (row["calling_ae_title"], row["address"], row["rejections"]) == ("DX9", HERE, 2)
    assert "calling ae title not recognized" in text
    assert "DX9,calling_ae_title_not_recognized" in queried


def test_rejections_are_in_the_metrics(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as page:
        counters = RejectionCounters(rejection_counters._path(load(page.config)))
        counters.note(rejected("DX9"))
        counters.write()
        with page.visited_by() as client:
            metrics = client.get("/metrics").text

    assert 'cxr_node_rejected_total{reason="calling_ae_title_not_recognized",sender="DX9"} 1.0' in metrics
    assert films.PATIENT_ID not in metrics
