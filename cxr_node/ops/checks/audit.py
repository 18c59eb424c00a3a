"""Check of the audit trail: whether it is enabled, and its syslog receiver reachable."""

from cxr_node.net.tls import failure_reason
from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit, audit_forwarding

_NAME = "audit trail"


def trail(settings: Settings) -> Check:
    """Check the audit trail."""
    if not settings.audit.enabled:
        return note(_NAME, "disabled", "set audit.enabled, unless the site has another audit trail")
    receiver = audit_forwarding.receiver(settings)
    if receiver is None:
        return ok(_NAME, "kept in the data folder; no syslog receiver is configured")
    journal = audit.journal(settings)
    waiting = f"{journal.unforwarded_bytes(journal.forwarded()):,} bytes wait for syslog receiver {receiver}"
    try:
        receiver.connect().close()
    except OSError as error:
        next_step = "check that it runs and that audit.tls_ca is its authority; no message is lost meanwhile"
        return problem(_NAME, f"{waiting}, which is unreachable: {failure_reason(error)}", next_step)
    return ok(_NAME, f"{waiting}, which is reachable")
