"""Route: which result kinds a destination receives, and for which films."""

from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset

from cxr_node.deliver.routing import Condition, FilmFacts
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Presence, Reading
from cxr_node.pixels import elements
from cxr_node.pixels.geometry import geometry as read_geometry
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.report.result_type import ResultType


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Result kinds that a destination receives, by name, and the condition.

    Of `forms` of the report, best first, it receives the first whose SOP class `peer` is known to accept. Without
    `takes_notes` it receives no rejection notes.
    """

    kinds: frozenset[str]
    condition: Condition = field(default_factory=Condition)
    forms: tuple[ResultType, ...] = ()
    peer: str = ""
    takes_notes: bool = True

    def with_accepted_form(self, capabilities: DestinationCapabilities | None) -> "Route":
        """Return the route with one form of the report.

        A destination whose peer changed since its last negotiation, or that accepts no form, receives the best one,
        so that its rejection is seen.
        """
        if not self.forms:
            return self
        is_current = capabilities is not None and capabilities.peer == self.peer
        accepted = capabilities.accepted_sop_classes if capabilities is not None and is_current else frozenset()
        form = next((form for form in self.forms if form.sop_class_uid in accepted), self.forms[0])
        return replace(self, kinds=self.kinds | {form.name}, forms=())


def routing_facts(film: Film, reading: Reading | None, header: Dataset) -> FilmFacts:
    """Return the facts that route conditions test; `reading` is None for a film not read yet."""
    geometry = reading.geometry if reading and reading.geometry else read_geometry(header)
    findings = reading.prediction.findings if reading and reading.prediction else ()
    keys = frozenset(finding.key for finding in findings if finding.presence != Presence.ABSENT)
    return FilmFacts(
        calling_ae_title=film.sender.calling_ae_title,
        station_name=elements.text(header, "StationName"),
        view=geometry.view,
        findings=None if reading is None else keys,
    )
