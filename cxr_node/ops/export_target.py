"""Target of an export: a folder, or a destination of the settings that takes films too."""

from collections.abc import Callable
from typing import Protocol

from cxr_node.deliver.destination import DeliveryRejected, Destination, ExportUri
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.export.study import StudyExport
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.audit import Audit
from cxr_node.wiring.process import Process

_KINDS = frozenset({"cstore", "stow"})
"""Kinds of destinations that store any object."""


class CannotExport(Exception):
    """The export cannot begin or go on; the sentence says why."""


class ExportTarget(Protocol):
    """Where studies are exported to; each is there whole, or may be there in part if a destination ends in between."""

    @property
    def name(self) -> str:
        """Its name, in messages."""
        ...

    @property
    def uri(self) -> str:
        """Its URI in the audit trail."""
        ...

    def has(self, study_instance_uid: Uid) -> bool:
        """Whether an earlier run has exported a study."""
        ...

    def put(self, study_instance_uid: Uid, study: StudyExport, *, before: Callable[[], None]) -> None:
        """Export a study; `before` is called before anything of it can be seen."""
        ...

    def finish(self) -> None:
        """Complete the export, when all studies are in it."""
        ...


class ExportDestination:
    """A destination of the settings; a repeated export sends the same instances again."""

    def __init__(self, destination: Destination, *, uri: str) -> None:
        self._destination = destination
        self.uri = uri

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._destination.name

    def has(self, study_instance_uid: Uid) -> bool:  # noqa: ARG002  # as in the protocol
        """Whether an earlier run has exported a study: it is not known."""
        return False

    def put(self, study_instance_uid: Uid, study: StudyExport, *, before: Callable[[], None]) -> None:  # noqa: ARG002  # as in the protocol
        """Send the objects of a study.

        Raises
        ------
        CannotExport
            If the destination does not take one of them, or cannot be reached.
        """
        before()
        for one in study.objects:
            try:
                self._destination.send(one.instance.content)
            except (RetryLater, DeliveryRejected) as error:
                raise CannotExport(f"{self.name}: {error}") from error

    def finish(self) -> None:
        """Do nothing: the objects are sent."""


def destination_of(process: Process, audit: Audit, name: str) -> ExportDestination:
    """Return a destination of the settings, whose transfers the audit trail records.

    Raises
    ------
    CannotExport
        If there is none of this name that takes films.
    """
    rows = [row for row in process.settings.deliver.destinations if row.kind in _KINDS]
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        known = f"; there are {', '.join(row.name for row in rows)}" if rows else ""
        raise CannotExport(f"there is no destination {name!r} of the kind cstore or stow{known}")
    opened = {row.name: row.open(calling_ae_title=parse_ae_title(process.settings.receive.ae_title))}
    audited = audit_decorators.destinations(audit, [row], opened)
    target = row.audit_target
    uri = f"dicom://{row.peer_name}" if not isinstance(target, ExportUri) else target.uri
    return ExportDestination(audited[row.name], uri=uri)
