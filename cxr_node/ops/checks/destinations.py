"""Check of a destination: whether it is reachable and accepts the results configured for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.negotiation import negotiated
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.ops.checks.node import Check, note, ok, problem, write_fault
from cxr_node.report.kinds.registry import KIND_BY_NAME, REPORT_FORMS, RESULT_KINDS
from cxr_node.settings.results import REPORT_BEST, CStoreSection, FolderSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import compose as results
from cxr_node.wiring import deliver

SOP_CLASSES: tuple[Uid, ...] = tuple(dict.fromkeys(kind.result_type.sop_class_uid for kind in RESULT_KINDS))
"""SOP Classes of all results."""

_REPORT_CLASSES = "Comprehensive 3D, Comprehensive, Enhanced or Basic Text SR"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationReport:
    """Checks of a destination; `accepted` maps SOP Classes to transfer syntaxes, None if it was not negotiated."""

    name: str
    peer: str
    checks: tuple[Check, ...]
    accepted: Mapping[Uid, tuple[Uid, ...]] | None = field(default=None)

    @property
    def accepted_results(self) -> dict[str, tuple[Uid, ...]]:
        """Results that it accepts, with the transfer syntaxes."""
        if self.accepted is None:
            return {}
        accepted = {kind.name: self.accepted.get(kind.result_type.sop_class_uid, ()) for kind in RESULT_KINDS}
        return {name: syntaxes for name, syntaxes in accepted.items() if syntaxes}

    @property
    def best_report(self) -> str | None:
        """The report form that "report-best" selects."""
        return next((form.name for form in REPORT_FORMS if form.name in self.accepted_results), None)


def check_destination(settings: Settings, section: CStoreSection | FolderSection) -> DestinationReport:
    """Check a destination; only C-ECHO is sent to it."""
    peer = results.peer_of(section)
    if isinstance(section, FolderSection):
        return DestinationReport(
            name=section.name, peer=peer, checks=(_folder_check(section.name, Path(section.folder)),)
        )
    destination = deliver.destinations(settings)[section.name]
    if not isinstance(destination, CStoreDestination):
        raise TypeError(f"{section.name} is not a C-STORE destination")
    name = f"destination {section.name}"
    try:
        negotiation = negotiated(destination.remote, SOP_CLASSES)
    except RetryLater as error:
        return DestinationReport(name=section.name, peer=peer, checks=(problem(name, str(error), _next_step(section)),))
    except DeliveryRejected as error:
        next_step = "have its administrator permit the node's AE title, and check ae_title"
        return DestinationReport(name=section.name, peer=peer, checks=(problem(name, str(error), next_step),))
    report = DestinationReport(name=section.name, peer=peer, checks=(), accepted=negotiation.accepted)
    tls = ", by TLS" if section.tls_ca else ""
    echo = ok(name, f"{peer} responds to C-ECHO{tls}")
    if not negotiation.echoed:
        echo = note(name, f"{peer} accepts associations{tls}, but not Verification", "nothing, if it stores")
    checks = (echo, *_result_checks(section.name, section.results, report))
    return DestinationReport(name=section.name, peer=peer, checks=checks, accepted=negotiation.accepted)


def _folder_check(name: str, folder: Path) -> Check:
    fault = write_fault(folder)
    if fault:
        next_step = "make it writable for the node's user, or configure another folder"
        return problem(f"destination {name}", f"{folder} is not writable: {fault}", next_step)
    return ok(f"destination {name}", f"{folder} is writable")


def _next_step(section: CStoreSection) -> str:
    files = ", tls_ca and the certificates" if section.tls_ca else ""
    return f"check that it runs and that host, port, ae_title{files} are right; results wait until then"


def _result_checks(destination: str, results: Sequence[str], report: DestinationReport) -> Iterator[Check]:
    """Yield for each configured result whether the destination accepts it."""
    for result in results:
        name = f"{result} to {destination}"
        if result == REPORT_BEST:
            yield _best_report_check(name, report)
            continue
        sop_class = UID(KIND_BY_NAME[result].result_type.sop_class_uid)
        if result in report.accepted_results:
            syntaxes = ", ".join(UID(syntax).name for syntax in report.accepted_results[result])
            yield ok(name, f"{sop_class.name} is accepted, in {syntaxes}")
        else:
            yield problem(name, f"{sop_class.name} is not accepted", _alternative(result, sop_class, report))


def _best_report_check(name: str, report: DestinationReport) -> Check:
    if report.best_report is None:
        return problem(name, f"it accepts no report: no {_REPORT_CLASSES}", "have its administrator permit one of them")
    sop_class = UID(KIND_BY_NAME[report.best_report].result_type.sop_class_uid)
    return ok(name, f"{report.best_report} is selected, {sop_class.name}")


def _alternative(result: str, sop_class: UID, report: DestinationReport) -> str:
    permit = f"have its administrator permit {sop_class}"
    if KIND_BY_NAME[result] in REPORT_FORMS and report.best_report is not None:
        return f'{permit}, or configure "report-best" instead, which selects {report.best_report}'
    return f'{permit}, or remove "{result}" from its results'
