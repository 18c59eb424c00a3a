"""The audit trail of a process, wired from settings."""

import getpass
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cxr_node.audit import events, forward
from cxr_node.audit.events import Application
from cxr_node.audit.forward import Forwarder
from cxr_node.audit.journal import Journal
from cxr_node.audit.message import Message, Source
from cxr_node.audit.syslog import Receiver
from cxr_node.audit.trail import Trail
from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import digest_of
from cxr_node.settings.root import Settings
from cxr_node.wiring import process
from cxr_node.work.scheduler import Schedule

_KEEP_S = 3600.0
_TURN_AT_TELLING_S = 5.0
_LAST_WORDS_S = 1.0
"""How long the end of a process waits for a receiver: what it was not told, the next process tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Where this process records what it does, and what it is called there."""

    application: Application
    record: Callable[[Message], None]
    clock: Callable[[], datetime] = process.now
    records_associations: bool = True


def journal(settings: Settings) -> Journal:
    """Return the trail on disk."""
    return Journal(_folder(settings))


@contextmanager
def audit(settings: Settings) -> Iterator[Audit]:
    """Record that this process starts and stops, and what it records between; keep the trail and tell it on."""
    with ExitStack() as stack:
        trail = stack.enter_context(_trail(settings)) if settings.audit.enabled else None
        kept = Audit(
            application=_application(settings),
            record=trail.record if trail is not None else _nothing,
            records_associations=settings.audit.associations,
        )
        if trail is not None:
            stack.enter_context(_forwarding(settings))
            _keep(settings, stack)
        activity = partial(events.application_activity, kept.application, by=str(os.getppid()))
        kept.record(activity(is_start=True, at=process.now()))
        stack.callback(lambda: kept.record(activity(is_start=False, at=process.now())))
        yield kept


def unrecorded(settings: Settings) -> Audit:
    """Return what keeps no trail, for a node that is tried out."""
    return Audit(application=_application(settings), record=_nothing)


@contextmanager
def of_command(settings: Settings) -> Iterator[Audit]:
    """Record what a command does; it is on the disk when the block is left."""
    if not settings.audit.enabled:
        yield unrecorded(settings)
        return
    trail = _trail(settings)
    yield Audit(application=_application(settings), record=trail.record)
    trail.tick()


def administration(settings: Settings, kind: Code, what: str, *, by: str, subject: str) -> None:
    """Record that a person changed something; `subject` is a path that names what was changed."""
    with of_command(settings) as audit:
        message = events.administration(kind, what, by=by, on=audit.application, subject=subject, at=audit.clock())
        audit.record(message)


def note_settings(settings: Settings) -> None:
    """Record that the settings are not those of the last start, if they are not; what differs is not written down."""
    if not settings.audit.enabled:
        return
    known = _folder(settings) / "settings.sha256"
    digest = digest_of(settings.model_dump_json().encode())
    before = known.read_text(encoding="ascii") if known.exists() else digest
    if before != digest:
        what = "the settings are not those of the last start"
        administration(settings, events.SECURITY_CONFIGURATION, what, by=getpass.getuser(), subject="settings")
    known.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(known, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(digest)


def _trail(settings: Settings) -> Trail:
    section = settings.audit
    source = Source(source_id=section.source_id or settings.node.name, enterprise_site_id=section.enterprise_site_id)
    return Trail(journal(settings), source, clock=process.now)


def _application(settings: Settings) -> Application:
    return Application(ae_title=settings.receive.ae_title, process_id=os.getpid(), host=socket.gethostname())


def _folder(settings: Settings) -> Path:
    return settings.node.data_folder / "audit"


def _nothing(_: Message) -> None:
    return


@contextmanager
def _forwarding(settings: Settings) -> Iterator[None]:
    """Tell the trail to the syslog receiver while the block lasts, in one process of a data folder at a time."""
    told = receiver(settings)
    if told is None:
        yield
        return
    stopping = threading.Event()

    def run() -> None:
        forwarder = Forwarder(journal(settings), told, host=socket.gethostname())
        while not stopping.is_set():
            with forward.alone(_folder(settings)) as is_ours:
                if is_ours:
                    forwarder.run(stopping)
            stopping.wait(_TURN_AT_TELLING_S)

    thread = threading.Thread(target=run, name="syslog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_LAST_WORDS_S)


def receiver(settings: Settings) -> Receiver | None:
    """Return the syslog receiver that the trail is told to, if any."""
    section = settings.audit
    if not section.syslog_host:
        return None
    tls = section.tls_peer if section.syslog_transport == "tls" else None
    return Receiver(host=section.syslog_host, port=section.syslog_port, tls=tls)


def _keep(settings: Settings, stack: ExitStack) -> None:
    section = settings.audit
    if not section.keep_days:
        return

    def turn() -> None:
        forward.keep(
            journal(settings),
            today=process.now().astimezone(UTC).date(),
            keep_days=section.keep_days,
            is_told=bool(section.syslog_host),
        )

    stack.enter_context(Schedule(turn, tick_s=_KEEP_S))
