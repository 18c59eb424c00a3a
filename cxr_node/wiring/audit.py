"""The audit trail of a process, wired from settings."""

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cxr_node.audit import events
from cxr_node.audit.events import Application
from cxr_node.audit.journal import Journal
from cxr_node.audit.message import AuditMessage, AuditSource
from cxr_node.audit.trail import Trail
from cxr_node.domain.clock import Clock
from cxr_node.domain.codes import Code
from cxr_node.domain.files import replace_whole
from cxr_node.domain.identifiers import digest_of
from cxr_node.settings.root import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Records audit messages of this process, which `application` names in them."""

    application: Application
    record: Callable[[AuditMessage], None]
    clock: Clock
    records_associations: bool = True


def trail_folder(settings: Settings) -> Path:
    """Return the folder of the trail."""
    return settings.node.data_folder / "audit"


def journal(settings: Settings) -> Journal:
    """Return the trail on disk."""
    return Journal(trail_folder(settings))


@contextmanager
def recording(settings: Settings, clock: Clock) -> Iterator[Audit]:
    """Record the start and the end of this process, and messages between."""
    with ExitStack() as stack:
        trail = stack.enter_context(_trail(settings, clock)) if settings.audit.enabled else None
        audit = Audit(
            application=_application(settings),
            record=trail.record if trail is not None else _discard,
            clock=clock,
            records_associations=settings.audit.associations,
        )
        activity = partial(events.application_activity, audit.application, by=str(os.getppid()))
        audit.record(activity(is_start=True, at=clock()))
        stack.callback(lambda: audit.record(activity(is_start=False, at=clock())))
        yield audit


def unrecorded(settings: Settings, clock: Clock) -> Audit:
    """Return an audit trail that discards messages."""
    return Audit(application=_application(settings), record=_discard, clock=clock)


@contextmanager
def of_command(settings: Settings, clock: Clock) -> Iterator[Audit]:
    """Record the messages of a command; they are flushed to disk at the end of the block."""
    if not settings.audit.enabled:
        yield unrecorded(settings, clock)
        return
    trail = _trail(settings, clock)
    yield Audit(application=_application(settings), record=trail.record, clock=clock)
    trail.tick()


def administration(settings: Settings, clock: Clock, kind: Code, change: str, *, by: str, subject: str) -> None:
    """Record a change by a person; `subject` is a path that names the changed object."""
    with of_command(settings, clock) as audit:
        audit.record(events.administration(kind, change, by=by, on=audit.application, subject=subject, at=clock()))


def note_settings(settings: Settings, clock: Clock) -> None:
    """Record that the settings differ from those of the last start, if they do, without the difference."""
    if not settings.audit.enabled:
        return
    file = trail_folder(settings) / "settings.sha256"
    digest = digest_of(settings.canonical_json().encode())
    before = file.read_text(encoding="ascii") if file.exists() else digest
    if before != digest:
        change = "the settings are not those of the last start"
        administration(settings, clock, events.SECURITY_CONFIGURATION, change, by=getpass.getuser(), subject="settings")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if before != digest or not file.exists():
        replace_whole(file, digest.encode())


def _trail(settings: Settings, clock: Clock) -> Trail:
    section = settings.audit
    source = AuditSource(
        source_id=section.source_id or settings.node.name, enterprise_site_id=section.enterprise_site_id
    )
    return Trail(journal(settings), source, clock=clock)


def _application(settings: Settings) -> Application:
    return Application(ae_title=settings.receive.ae_title, process_id=os.getpid(), host=socket.gethostname())


def _discard(_: AuditMessage) -> None:
    return
