"""Periodic jobs of the audit trail: forwarding to the syslog receiver, and removal of old files."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Self

from cxr_node.audit import forward
from cxr_node.audit.forward import Forwarder
from cxr_node.audit.syslog import SyslogReceiver
from cxr_node.domain.clock import Clock
from cxr_node.settings.root import Settings
from cxr_node.wiring.audit import journal, trail_folder
from cxr_node.work.periodic_job import Outcome


@contextmanager
def periodic_functions(settings: Settings, clock: Clock) -> Iterator[dict[str, Callable[[], object]]]:
    """Return the periodic jobs of the trail by name: forwarding, and removal of old files."""
    functions: dict[str, Callable[[], object]] = {"audit_removal": partial(_remove_old, settings, clock)}
    syslog_receiver = receiver(settings)
    if syslog_receiver is None:
        yield functions
        return
    forwarder = Forwarder(journal(settings), syslog_receiver, host=socket.gethostname())
    with _Forwarding(forwarder, trail_folder(settings)) as forwarding:
        yield functions | {"audit_forwarding": forwarding.turn}


class _Forwarding:
    """Forwards in one process of a data folder: the one that has the lock keeps it until it ends."""

    def __init__(self, forwarder: Forwarder, folder: Path) -> None:
        self._forwarder = forwarder
        self._folder = folder
        self._lock = ExitStack()
        self._is_ours = False

    def turn(self) -> Outcome:
        """Forward what was recorded, if no other process of the folder forwards."""
        if not self._is_ours:
            self._is_ours = self._lock.enter_context(forward.single_forwarder(self._folder))
        if not self._is_ours:
            self._lock.close()
            return Outcome.SKIPPED
        self._forwarder.turn()
        return Outcome.SUCCEEDED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forwarder.close()
        self._lock.close()


def receiver(settings: Settings) -> SyslogReceiver | None:
    """Return the syslog receiver of the settings, if any."""
    section = settings.audit
    if not section.syslog_host:
        return None
    tls = section.tls_peer if section.syslog_transport == "tls" else None
    return SyslogReceiver(host=section.syslog_host, port=section.syslog_port, tls=tls)


def _remove_old(settings: Settings, clock: Clock) -> None:
    forward.remove_old(
        journal(settings),
        today=clock().astimezone(UTC).date(),
        keep_days=settings.audit.keep_days,
        is_forwarded=bool(settings.audit.syslog_host),
    )
