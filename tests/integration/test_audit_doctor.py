"""Check of the audit trail and its syslog receiver."""

from pathlib import Path

from cxr_node.audit import events
from cxr_node.domain.clock import utc_now
from cxr_node.ops.checks import audit as audit_checks
from cxr_node.ops.checks.node import Status
from cxr_node.settings.root import Settings
from cxr_node.wiring.audit import administration
from tests.support import certificates, peers, syslog
from tests.support.peers import LOOPBACK


def settings(folder: Path, **audit: object) -> Settings:
    return Settings.model_validate({"node": {"data_folder": folder}, "audit": audit})


def test_local_trail_is_ok_and_a_disabled_one_is_noted(tmp_path: Path) -> None:
    assert audit_checks.trail(settings(tmp_path)).status is Status.OK
    assert audit_checks.trail(settings(tmp_path, enabled=False)).status is Status.NOTE


def test_unreachable_receiver_is_a_problem_with_its_backlog(tmp_path: Path) -> None:
    port = peers.free_port()
    configured = settings(tmp_path, syslog_host=LOOPBACK, syslog_port=port, syslog_transport="tcp")
    administration(configured, utc_now, events.USE_OF_RESTRICTED_FUNCTION, "retry", by="anna", subject="jobs/1")

    unreachable = audit_checks.trail(configured)
    with syslog.collector(port=port):
        reachable = audit_checks.trail(configured)

    assert (unreachable.status, reachable.status) == (Status.PROBLEM, Status.OK)
    assert f"bytes wait for syslog receiver {LOOPBACK} port {port}, which is unreachable: " in unreachable.message
    assert not unreachable.message.startswith("0 bytes")


def test_untrusted_receiver_is_a_problem(tmp_path: Path) -> None:
    authority, other = certificates.authority(tmp_path), certificates.authority(tmp_path, "other")
    with syslog.collector(certificate=certificates.issued(tmp_path, other, "receiver")) as collecting:
        configured = settings(
            tmp_path, syslog_host=LOOPBACK, syslog_port=collecting.port, tls_ca=str(authority.certificate)
        )
        check = audit_checks.trail(configured)

    assert check.status is Status.PROBLEM
    assert "the certificate is not trusted" in check.message
