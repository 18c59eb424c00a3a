"""Check of the DICOMweb server: TLS, and an API token for each sender."""

from collections.abc import Iterator

from cxr_node.db.database import SQLAlchemyError
from cxr_node.domain.errors import RetryLater
from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.queries import archived
from cxr_node.records import api_tokens
from cxr_node.settings.dicomweb import LOOPBACK
from cxr_node.wiring.process import Process

_NAME = "dicomweb"


def server(process: Process) -> Iterator[Check]:
    """Check that tokens do not cross the network unencrypted, and that each of `dicomweb.senders` has a token."""
    section = process.settings.dicomweb
    if not section.enabled:
        return
    if section.host not in LOOPBACK and not section.tls_certificate:
        next_step = "set dicomweb.tls_certificate and tls_key, or listen on 127.0.0.1 behind a proxy with TLS"
        yield problem(_NAME, f"{section.host} is not a local address: tokens would cross the network", next_step)
    missing = [sender for sender in section.senders if sender not in _valid_tokens(process)]
    if missing:
        next_step = f"make it: `cxr-node token add {missing[0]}`"
        yield problem(_NAME, f"no valid API token for {', '.join(missing)} of dicomweb.senders", next_step)
    elif section.senders:
        yield ok(_NAME, f"{len(section.senders)} API tokens may store")
    else:
        yield note(_NAME, "no API token may store", "name those that may in dicomweb.senders")


def _valid_tokens(process: Process) -> set[str]:
    try:
        with process.database.read() as connection:
            tokens = api_tokens.every(connection) if archived.has_schema(connection) else ()
    except (RetryLater, SQLAlchemyError):  # another check says so
        return set(process.settings.dicomweb.senders)
    return {token.name for token in tokens if token.is_valid(process.clock())}
