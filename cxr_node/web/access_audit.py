"""Audit of access over the web: logins, and views of films and reports."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cxr_node.archive.store import Archive
from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.audit.subject import parse_subject
from cxr_node.domain.recently_seen import RecentlySeen
from cxr_node.queries.identifiers import IdentifiedFilm
from cxr_node.web.access import Person, SeesFilms
from cxr_node.wiring import identifier_audit
from cxr_node.wiring.audit import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A person, and the address of the request."""

    name: str
    address: str


def viewer_of(person: Person, request: Request) -> Viewer:
    """Return who sends a request."""
    return Viewer(name=person.name, address=address_of(request))


def _film_viewer(person: SeesFilms, request: Request) -> Viewer:
    return viewer_of(person, request)


FilmViewer = Annotated[Viewer, Depends(_film_viewer)]


def address_of(request: Request) -> str:
    """Return the address of the client; behind a proxy, that of the proxy."""
    return request.client.host if request.client is not None else ""


class AccessAudit:
    """Records logins and views. Thread-safe.

    Views of a film or of a study's identifiers by one person within an hour are one record: a page shows several.
    """

    def __init__(self, audit: Audit, archive: Archive) -> None:
        self._audit = audit
        self._archive = archive
        self._recorded = RecentlySeen()

    def record_login(self, name: str, address: str, *, failure: str) -> None:
        """Record an attempt to log in; `failure` is the reason it was rejected, empty on success."""
        peer, at = AuditPeer(ae_title="", address=address), self._audit.clock()
        self._audit.record(events.user_authentication(name, peer, by=self._audit.application, failure=failure, at=at))

    def record_access(self, viewer: Viewer, archive_key: str) -> None:
        """Record a view of an object in the archive, unless a recent record covers it."""
        now = self._audit.clock()
        if not self._recorded.is_new(viewer.name, archive_key, now=now):
            return
        try:
            subject = parse_subject(self._archive.get(archive_key))
        except (KeyError, ValueError):  # removed meanwhile, or damaged: the scrub reports it
            return
        on = self._audit.application
        self._audit.record(events.accessed(subject, by=viewer.name, address=viewer.address, on=on, at=now))

    def record_search(self, viewer: Viewer, identifiers: Mapping[str, str]) -> None:
        """Record a search by identifiers, by column; each is a query of its own."""
        for column, value in identifiers.items():
            identifier_audit.record_search(self._audit, {column: value}, by=viewer.name, address=viewer.address)

    def record_identifiers(self, viewer: Viewer, films: Collection[IdentifiedFilm]) -> None:
        """Record that identifiers of films were shown, once for each study unless a recent record covers it."""
        now = self._audit.clock()
        studies = {film.study_id for film in films}
        new = {study_id for study_id in studies if self._recorded.is_new(viewer.name, f"studies/{study_id}", now=now)}
        shown = [film for film in films if film.study_id in new]
        identifier_audit.record_shown(self._audit, shown, by=viewer.name, address=viewer.address)
