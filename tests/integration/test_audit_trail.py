"""Audit trail on disk and its forwarding: no message is lost in kills, outages and floods."""

import multiprocessing
import os
import re
import signal
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cxr_node.audit import events
from cxr_node.audit.events import Application, AuditPeer
from cxr_node.audit.forward import Forwarder, remove_old, single_forwarder
from cxr_node.audit.journal import Journal
from cxr_node.audit.message import AuditMessage, AuditSource
from cxr_node.audit.subject import StudySubject
from cxr_node.audit.syslog import SyslogReceiver, framed
from cxr_node.audit.trail import Trail
from cxr_node.domain.identifiers import Uid
from cxr_node.net.tls_peer import TlsPeer
from cxr_node.simulators.clock import SimulatedClock
from tests.support import certificates, peers, syslog
from tests.support.audit_rules import read
from tests.support.peers import LOOPBACK

SOURCE = AuditSource(source_id="cxr-node")
NODE = Application(ae_title="CXRNODE", process_id=1, host="node-1")
TODAY = date(2026, 1, 31)
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def film(number: int, *, at: datetime = AT) -> AuditMessage:
    subject = StudySubject(study_instance_uid=Uid(f"1.2.{number}"), patient_id="患者-17")
    return events.received(subject, by=NODE, sent_by=AuditPeer(ae_title="DX1", address=LOOPBACK), is_new=True, at=at)


def unknown_peer(address: str = "192.0.2.9", *, at: datetime = AT) -> AuditMessage:
    return events.association(AuditPeer(ae_title="X", address=address), by=NODE, failure="not known here", at=at)


def trail(folder: Path, clock: SimulatedClock | None = None) -> Trail:
    return Trail(Journal(folder), SOURCE, clock=clock or SimulatedClock(AT))


def lines(folder: Path) -> list[str]:
    return [
        line for path in sorted(folder.glob("audit-*.xml")) for line in path.read_text(encoding="utf-8").splitlines()
    ]


def studies(messages: list[str]) -> list[str]:
    matches = [re.search(r'ParticipantObjectID="1\.2\.(\d+)"', message) for message in messages]
    return [match.group(1) for match in matches if match is not None]


def test_messages_are_in_a_file_per_day_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    recorded = trail(folder)
    recorded.record(film(1))
    recorded.record(film(2, at=AT + timedelta(days=1)))

    assert sorted(path.name for path in folder.iterdir()) == ["audit-2026-01-31.xml", "audit-2026-02-01.xml"]
    assert [read(line).tag for line in lines(folder)] == ["AuditMessage", "AuditMessage"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def _record_many(folder: Path, first: int) -> None:
    recorded = trail(folder)
    for number in range(first, first + 200):
        recorded.record(film(number))


def test_messages_of_concurrent_processes_are_not_interleaved(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_record_many, args=(tmp_path, first)) for first in (1000, 2000, 3000)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    written = lines(tmp_path)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(written) == len(set(studies(written))) == 600
    for line in written:
        read(line)


def _record_and_die(folder: Path) -> None:
    trail(folder).record(film(1))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_recorded_message_survives_a_kill_of_the_process(tmp_path: Path) -> None:
    doomed = multiprocessing.get_context("fork").Process(target=_record_and_die, args=(tmp_path,))
    doomed.start()
    doomed.join(60)

    assert doomed.exitcode == -signal.SIGKILL
    assert studies(lines(tmp_path)) == ["1"]


def test_messages_are_queued_while_the_disk_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.write_text("where the folder should be")
    recorded = trail(folder)
    recorded.record(film(1))
    recorded.record(film(2))
    folder.unlink()
    recorded.record(film(3))

    assert studies(lines(folder)) == ["1", "2", "3"]


def test_messages_written_before_the_disk_was_full_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = trail(tmp_path)
    recorded.record(film(0))
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _descriptor, _content: 0)
        recorded.record(film(1))
        recorded.record(film(2))
        whole = len(lines(tmp_path)[0].encode())
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[: whole + whole // 2]))
        recorded.record(film(3))
    recorded.record(film(4))

    assert studies([line for line in lines(tmp_path) if line.endswith("</AuditMessage>")]) == ["0", "1", "2", "3", "4"]
    logged = [re.split("[:;,]", record.message)[0] for record in caplog.records]
    assert logged == ["audit trail cannot be written", "audit trail is written again"]


def test_messages_of_many_threads_are_written_before_record_returns(tmp_path: Path) -> None:
    recorded = trail(tmp_path)

    def record(number: int) -> bool:
        recorded.record(film(number))
        return str(number) in studies(lines(tmp_path))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(record, range(200)))
    assert len(lines(tmp_path)) == 200


def test_a_failure_of_the_trail_is_logged_and_not_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Journal):
        def append(self, lines: Sequence[str], *, day: date) -> int:
            raise RuntimeError(lines[0][:20] + day.isoformat())

    Trail(Faulty(tmp_path), SOURCE, clock=SimulatedClock(AT)).record(film(1))

    assert [record.message for record in caplog.records] == ["audit message lost: RuntimeError"]


def test_a_truncated_message_is_not_forwarded(tmp_path: Path) -> None:
    recorded = trail(tmp_path)
    recorded.record(film(1))
    (file,) = tmp_path.glob("audit-*.xml")
    with file.open("a") as torn:
        torn.write("<AuditMessage><EventIdent")
    recorded.record(film(2))

    with syslog.collector() as collecting:
        assert forward_once(tmp_path, collecting.port) == 2
        peers.until(lambda: len(collecting.messages) == 2, what="both messages")


def test_repeated_alerts_are_counted_and_do_not_fill_the_disk(tmp_path: Path) -> None:
    clock = SimulatedClock(AT)
    recorded = trail(tmp_path, clock)
    for _ in range(500):
        recorded.record(unknown_peer())
    recorded.record(unknown_peer("192.0.2.10"))
    assert len(lines(tmp_path)) == 11

    clock.advance(seconds=61)
    recorded.tick()
    recorded.tick()
    (summary,) = lines(tmp_path)[11:]
    assert "not known here, and 490 more like it" in summary
    read(summary)


def test_messages_about_films_are_never_suppressed(tmp_path: Path) -> None:
    recorded = trail(tmp_path)
    for number in range(50):
        recorded.record(film(number))

    assert len(lines(tmp_path)) == 50


def forwarder(folder: Path, port: int, *, tls: TlsPeer | None = None) -> Forwarder:
    receiver = SyslogReceiver(host=LOOPBACK, port=port, tls=tls, timeout_s=5.0)
    return Forwarder(Journal(folder), receiver, host="node-1")


def forward_once(folder: Path, port: int, *, tls: TlsPeer | None = None) -> int:
    """Forward once, and close the connection."""
    with closing(forwarder(folder, port, tls=tls)) as sender:
        return sender.forward()


def test_a_message_is_framed_as_in_rfc_5424_and_5425() -> None:
    at = "2026-01-31T12:00:00+00:00"
    head = f'<EventIdentification EventDateTime="{at}" EventOutcomeIndicator="0"/>'
    journaled = f"<AuditMessage>{head}</AuditMessage>"
    length, _, message = framed(journaled, host="node 1").partition(b" ")

    assert int(length) == len(message)
    assert message.startswith(
        b"<85>1 2026-01-31T12:00:00+00:00 node-1 cxr-node - DICOM+RFC3881 - \xef\xbb\xbf<AuditMessage>"
    )
    assert b"<84>1 " in framed(journaled.replace('="0"', '="4"'), host="node-1")


def test_all_messages_are_forwarded_in_order_after_an_outage(tmp_path: Path) -> None:
    recorded, port = trail(tmp_path), peers.free_port()
    sender = forwarder(tmp_path, port)
    recorded.record(film(1))
    with pytest.raises(OSError, match="refused"):
        sender.forward()
    for number in range(2, 500):
        recorded.record(film(number))

    with syslog.collector(port=port) as collecting:
        assert sender.forward() == 499
        assert sender.forward() == 0
        peers.until(lambda: len(collecting.messages) == 499, what="every message")
        sender.close()
    assert [message.partition(b"\xef\xbb\xbf")[2].decode() for message in collecting.messages] == lines(tmp_path)
    assert Journal(tmp_path).unforwarded_bytes(Journal(tmp_path).forwarded()) == 0


def test_after_a_closed_connection_a_new_one_is_used(tmp_path: Path) -> None:
    recorded = trail(tmp_path)
    with syslog.collector() as collecting:
        sender = forwarder(tmp_path, collecting.port)
        recorded.record(film(1))
        sender.forward()
        peers.until(lambda: len(collecting.messages) == 1, what="the first message")
        collecting.hang_up()
        recorded.record(film(2))
        peers.until(
            lambda: _has_forwarded(sender) and b"1.2.2" in b"".join(collecting.messages),
            what="the second message",
        )
        sender.close()


def _has_forwarded(sender: Forwarder) -> bool:
    try:
        sender.forward()
    except OSError:
        return False
    return True


def test_another_process_continues_at_the_stored_offsets(tmp_path: Path) -> None:
    recorded = trail(tmp_path)
    with syslog.collector() as collecting:
        for number in (1, 2):
            recorded.record(film(number))
            recorded.record(film(number + 10, at=AT + timedelta(days=1)))
            assert forward_once(tmp_path, collecting.port) == 2
        peers.until(lambda: len(collecting.messages) == 4, what="four messages")


def test_one_process_of_a_folder_forwards(tmp_path: Path) -> None:
    with single_forwarder(tmp_path) as first, single_forwarder(tmp_path) as second:
        assert (first, second) == (True, False)
    with single_forwarder(tmp_path) as third:
        assert third


def test_the_forwarder_waits_longer_after_each_failure(tmp_path: Path) -> None:
    port, seconds = peers.free_port(), [0.0]
    trail(tmp_path).record(film(1))
    receiver = SyslogReceiver(host="127.0.0.1", port=port)
    with closing(Forwarder(Journal(tmp_path), receiver, host="node-1", clock=lambda: seconds[0])) as forwards:
        with pytest.raises(OSError, match="unreachable"):
            forwards.turn()
        with syslog.collector(port=port) as collecting:
            with pytest.raises(OSError, match="unreachable"):
                forwards.turn()  # too early
            seconds[0] = 1.0
            assert forwards.turn() == 1
            peers.until(lambda: len(collecting.messages) == 1, what="the message")


@pytest.mark.parametrize("mutual", [False, True])
def test_rsyslog_receives_the_trail_by_tls(mutual: bool, tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    shows = certificates.issued(tmp_path, authority, "receiver")
    ours = certificates.issued(tmp_path, authority, "node")
    tls = TlsPeer(
        ca=authority.certificate,
        certificate=ours.certificate if mutual else None,
        key=ours.key if mutual else None,
    )
    port = peers.free_port()
    with syslog.rsyslog(
        tmp_path / "rsyslog", port=port, certificate=shows, client_ca=authority if mutual else None
    ) as received:
        _records_arrive(tmp_path / "audit", port, received, tls=tls)


def test_rsyslog_receives_the_trail_by_plain_tcp(tmp_path: Path) -> None:
    port = peers.free_port()
    with syslog.rsyslog(tmp_path / "rsyslog", port=port) as received:
        _records_arrive(tmp_path / "audit", port, received, tls=None)


def _records_arrive(folder: Path, port: int, received: Path, *, tls: TlsPeer | None) -> None:
    recorded = trail(folder)
    for number in range(20):
        recorded.record(film(number))
    recorded.record(unknown_peer())
    assert forward_once(folder, port, tls=tls) == 21
    peers.until(
        lambda: received.exists() and received.read_text("utf-8").count("\n") == 21, what="21 messages in rsyslog"
    )
    arrived = received.read_text("utf-8").splitlines()
    heads = [line.partition("\ufeff")[0] for line in arrived]
    assert heads == ["85 2026-01-31T12:00:00+00:00 node-1 cxr-node DICOM+RFC3881 "] * 20 + [
        "84 2026-01-31T12:00:00+00:00 node-1 cxr-node DICOM+RFC3881 "
    ]
    assert [line.partition("\ufeff")[2] for line in arrived] == lines(folder)


@pytest.mark.parametrize("fault", ["authority", "host"])
def test_an_untrusted_receiver_gets_no_messages(fault: str, tmp_path: Path) -> None:
    authority, other = certificates.authority(tmp_path), certificates.authority(tmp_path, "other")
    host = "DNS:elsewhere.example.org" if fault == "host" else "IP:127.0.0.1"
    shows = certificates.issued(tmp_path, other if fault == "authority" else authority, "receiver", host=host)
    folder = tmp_path / "audit"
    trail(folder).record(film(1))
    with syslog.collector(certificate=shows) as collecting:
        with pytest.raises(OSError, match="certificate verify failed"):
            forward_once(folder, collecting.port, tls=TlsPeer(ca=authority.certificate))
        assert collecting.messages == []
    assert Journal(folder).forwarded() == {}


def test_old_files_are_removed_only_when_forwarded(tmp_path: Path) -> None:
    recorded = trail(tmp_path)
    recorded.record(film(1, at=AT - timedelta(days=100)))
    recorded.record(film(2, at=AT - timedelta(days=50)))
    recorded.record(film(3))
    journal = Journal(tmp_path)
    assert remove_old(journal, today=TODAY, keep_days=90, is_forwarded=True) == 0
    with syslog.collector() as collecting:
        forward_once(tmp_path, collecting.port)

    assert remove_old(journal, today=TODAY, keep_days=90, is_forwarded=True) == 1
    assert studies(lines(tmp_path)) == ["2", "3"]
    assert remove_old(journal, today=TODAY, keep_days=30, is_forwarded=False) == 1
