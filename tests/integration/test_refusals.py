"""What is refused at the door is counted, over restarts, and shown to machines and people."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.receive.admission import Rejection
from cxr_node.receive.events import AssociationAccepted, AssociationRejected, StoreRejected, TlsFailed
from cxr_node.receive.status import StoreStatus
from cxr_node.wiring import rejection_counters
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.rejection_counters import Refusals
from tests.support import films, peers
from tests.support.running_node import settings_file
from tests.support.web import served_page

HERE = "127.0.0.1"


def stranger(title: str) -> AssociationRejected:
    rejection = Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
    return AssociationRejected(calling_ae_title=title, address=HERE, user="", rejection=rejection)


def test_associations_and_objects_that_a_real_peer_is_refused_are_counted(tmp_path: Path) -> None:
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
    said = CliRunner().invoke(app, ["status", "--config", str(path)]).output
    assert "rejected by this host, in total: DX9 calling_ae_title_not_recognized 2" in said


def test_counts_go_on_after_a_restart_and_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    path = tmp_path / "refused.json"
    for expected in (1, 2):
        counting = Refusals(path)
        counting.note(TlsFailed(address=HERE, reason="no handshake"))
        counting.note(AssociationAccepted(calling_ae_title="DX1", address=HERE, user=""))
        counting.note(StoreRejected(calling_ae_title="DX1", address=HERE, status=StoreStatus.CANNOT_UNDERSTAND))
        counting.write()
        assert rejection_counters._read(path) == {("", "no_tls"): expected, ("DX1", "cannot_understand"): expected}
    written = path.stat().st_ino
    counting.write()
    assert path.stat().st_ino == written
    path.write_text("[[", encoding="utf-8")
    assert rejection_counters._read(path) == {}


def test_strangers_who_change_their_title_are_counted_as_one_in_the_end(tmp_path: Path) -> None:
    counting = Refusals(tmp_path / "refused.json")
    for number in range(1000):
        counting.note(stranger(f"X{number}"))
    counting.note(stranger("a\nb\u00e9"))
    counting.write()

    kept = rejection_counters._read(tmp_path / "refused.json")
    assert len(kept) <= 201
    assert sum(kept.values()) == 1001
    assert kept["", "calling_ae_title_not_recognized"] >= 800
    assert all(title.isprintable() and title.isascii() for title, _ in kept)


def test_a_disk_that_is_full_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Refusals(tmp_path / "no" / "refused.json")
    counting.note(stranger("X"))
    counting.write()
    (tmp_path / "no").mkdir()
    counting.write()

    assert len(rejection_counters._read(tmp_path / "no" / "refused.json")) == 1


def test_refusals_are_in_the_metrics(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as page:
        counting = Refusals(rejection_counters._path(load(page.config)))
        counting.note(stranger("DX9"))
        counting.write()
        with page.visited_by() as client:
            said = client.get("/metrics").text

    assert 'cxr_node_rejected_total{reason="calling_ae_title_not_recognized",sender="DX9"} 1.0' in said
    assert films.PATIENT_ID not in said
