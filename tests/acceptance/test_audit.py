"""The audit trail of a whole node and its forwarding; no Patient ID outside archive and trail."""

import json
import stat
import subprocess
from pathlib import Path
from xml.etree.ElementTree import Element

from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import COMMAND
from tests.support import certificates, films, peers, syslog
from tests.support.audit_rules import read
from tests.support.receiver import ReceiveProcesses
from tests.support.running_node import running, settings_file, to_pacs

START, STOP = ("110100", "110120"), ("110100", "110121")
BEGIN, TRANSFERRED, EXPORT = ("110102", None), ("110104", None), ("110106", None)
NODE_AUTHENTICATION, RESTRICTED = ("110113", "110126"), ("110113", "110132")


def event_of(message: Element) -> tuple[str | None, str | None]:
    """Return the codes of the event."""
    event, kind = (message.find(f"EventIdentification/{name}") for name in ("EventID", "EventTypeCode"))
    return (None if event is None else event.get("csd-code")), (None if kind is None else kind.get("csd-code"))


def those(messages: list[Element], event: tuple[str | None, str | None]) -> list[Element]:
    """Return the messages of an event."""
    return [message for message in messages if event_of(message) == event]


def outcomes(messages: list[Element]) -> list[str]:
    """Return the outcome of each message."""
    return [message.find("EventIdentification").get("EventOutcomeIndicator", "") for message in messages]  # type: ignore[union-attr]  # read() has seen it


def objects(message: Element) -> list[str]:
    """Return the IDs of its objects."""
    return [element.get("ParticipantObjectID", "") for element in message.findall("ParticipantObjectIdentification")]


def _names_the_patient(path: Path) -> bool:
    content = path.read_bytes()
    return films.PATIENT_ID.encode() in content or films.PATIENT_NAME.encode() in content


def test_every_step_from_film_to_report_is_recorded_and_forwarded(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    receiver = certificates.issued(tmp_path, authority, "receiver")
    port = peers.free_port()
    more = f"""[audit]
enterprise_site_id = "Hospital"
syslog_host = "127.0.0.1"
syslog_port = {port}
tls_ca = {json.dumps(str(authority.certificate))}

[[receive.peers]]
ae_title = "DX1"
"""
    film = films.written(films.dx(rows=300, columns=280), tmp_path)
    with SimulatedPacs() as pacs, syslog.rsyslog(tmp_path / "rsyslog", port=port, certificate=receiver) as received:
        config = settings_file(
            tmp_path / "node",
            destinations=(
                to_pacs(pacs.port, pacs.ae_title),
                {"kind": "folder", "name": "folder", "folder": str(tmp_path / "results"), "results": ["report"]},
            ),
            more=more,
            is_tiny=True,
        )
        with running(config) as node:
            assert peers.storescu(node.port, film, calling="DX1").returncode == 0
            assert peers.storescu(node.port, film, calling="UNKNOWN").returncode != 0
            job = node.until_idle()[0]
            retry = [*COMMAND, "jobs", "retry", "--config", str(config), str(job.job_id)]
            subprocess.run(retry, check=True, capture_output=True)
            node.until_idle()
            peers.until(lambda: received.read_text("utf-8").count("UNKNOWN") > 0, what="the trail in rsyslog")
            log = node.log.read_text(encoding="utf-8")
    folder = config.parent / "cxr-node-data" / "audit"
    lines = [line for path in folder.glob("audit-*.xml") for line in path.read_text(encoding="utf-8").splitlines()]
    messages = [read(line) for line in lines]

    # The page's process may have been ready in time or not, and so may those that receive beside the first.
    assert 3 <= len(those(messages, STOP)) <= len(those(messages, START)) <= 3 + ReceiveProcesses.chosen
    received_film, *sent = those(messages, TRANSFERRED)
    assert objects(received_film) == [films.dx().StudyInstanceUID, films.PATIENT_ID]
    assert outcomes([received_film, *sent]) == ["0"] * len([received_film, *sent])
    assert len(those(messages, BEGIN)) == len(sent) >= 1
    assert len(those(messages, EXPORT)) >= 1
    assert outcomes(those(messages, NODE_AUTHENTICATION)) == ["0", "4"]
    (by_person,) = those(messages, RESTRICTED)
    assert objects(by_person) == [f"jobs/{job.job_id}"]
    forwarded = [line.partition("\ufeff")[2] for line in received.read_text("utf-8").splitlines()]
    assert forwarded == lines[: len(forwarded)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert films.PATIENT_ID not in log
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    naming = {path.relative_to(folder.parent).parts[0] for path in files if _names_the_patient(path)}
    # The database has Patient IDs for search, and no names ([identifiers] keep and keep_names).
    assert naming - {"node.db", "node.db-wal"} == {"archive", "audit"}
    database = b"".join(path.read_bytes() for path in folder.parent.glob("node.db*"))
    assert films.PATIENT_NAME.encode() not in database
    assert films.PATIENT_NAME not in log + "".join(lines)
