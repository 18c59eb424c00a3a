"""Whether the audit trail is kept, and reaches its receiver."""

from cxr_node.net.tls import failure_reason
from cxr_node.ops.checks.node import Check, fine, note, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit

_NAME = "audit trail"


def trail(settings: Settings) -> Check:
    """Return how it stands with the audit trail."""
    if not settings.audit.enabled:
        return note(_NAME, "no audit trail is kept", "set audit.enabled, unless the site keeps one in another way")
    receiver = audit.receiver(settings)
    if receiver is None:
        return fine(_NAME, "kept in the data folder, and told to nobody else")
    journal = audit.journal(settings)
    waiting = f"{journal.waiting_bytes(journal.told()):,} bytes wait for syslog receiver {receiver}"
    try:
        receiver.connect().close()
    except OSError as error:
        to_do = "nothing is lost meanwhile; see that it runs, and that audit.tls_ca vouches for it"
        return problem(_NAME, f"{waiting}, which cannot be reached: {failure_reason(error)}", to_do)
    return fine(_NAME, f"{waiting}, which can be reached")
