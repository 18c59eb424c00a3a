"""What the audit trail says of people at the page: who logged in, and who was shown which film or report."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request

from cxr_node.archive.store import Archive
from cxr_node.audit import events
from cxr_node.audit.events import Peer
from cxr_node.audit.subject import subject_of
from cxr_node.web.access import SeesFilms
from cxr_node.wiring.audit import Audit

_ONCE_IN = timedelta(hours=1)
"""A film is shown as several pictures; within this time one person's looks at it are one."""
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A person who is shown films, and from where."""

    name: str
    address: str


def _viewer(person: SeesFilms, request: Request) -> Viewer:
    return Viewer(name=person.name, address=address_of(request))


Viewing = Annotated[Viewer, Depends(_viewer)]


def address_of(request: Request) -> str:
    """Return the address a request came from; behind a proxy, the proxy's."""
    return request.client.host if request.client is not None else ""


class AccessAudit:
    """Records logins and looks. Called from the threads of requests."""

    def __init__(self, audit: Audit, archive: Archive) -> None:
        self._audit = audit
        self._archive = archive
        self._lock = threading.Lock()
        self._looks: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def tried_to_log_in(self, name: str, address: str, *, failure: str) -> None:
        """Record that someone showed a password; `failure` says why it was not taken, or is empty."""
        peer, at = Peer(ae_title="", address=address), self._audit.clock()
        self._audit.record(events.user_authentication(name, peer, by=self._audit.application, failure=failure, at=at))

    def showed(self, viewer: Viewer, archive_key: str) -> None:
        """Record that a person was shown what is kept under a key, unless that is recorded already."""
        now = self._audit.clock()
        if not self._is_new(viewer.name, archive_key, now):
            return
        try:
            subject = subject_of(self._archive.get(archive_key))
        except (KeyError, ValueError):  # removed meanwhile, or damaged: the scrub says so
            return
        on = self._audit.application
        self._audit.record(events.accessed(subject, by=viewer.name, address=viewer.address, on=on, at=now))

    def _is_new(self, name: str, archive_key: str, now: datetime) -> bool:
        with self._lock:
            last = self._looks.get((name, archive_key))
            if last is not None and now - last < _ONCE_IN:
                return False
            self._looks[name, archive_key] = now
            self._looks.move_to_end((name, archive_key))
            if len(self._looks) > _REMEMBERED:
                self._looks.popitem(last=False)
            return True
