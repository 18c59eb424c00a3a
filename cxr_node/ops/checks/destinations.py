"""Check of a destination: whether it is reachable and accepts the results configured for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydicom.uid import UID

from cxr_node.deliver.destination import DestinationKind
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION
from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.report.kinds.registry import KIND_BY_NAME, REPORT_FORMS, RESULT_KINDS
from cxr_node.settings.results import REPORT_BEST
from cxr_node.settings.root import Settings

SOP_CLASSES: tuple[Uid, ...] = tuple(
    dict.fromkeys((*(kind.result_type.sop_class_uid for kind in RESULT_KINDS), KEY_OBJECT_SELECTION))
)
"""SOP Classes of all results and of rejection notes."""

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


def check_destination(settings: Settings, row: DestinationKind) -> DestinationReport:
    """Check a destination without sending an object."""
    name = f"destination {row.name}"
    probe = row.probe(SOP_CLASSES, calling_ae_title=parse_ae_title(settings.receive.ae_title))
    if not probe.is_usable:
        check = problem(name, probe.message, probe.next_step)
    elif probe.next_step:
        check = note(name, probe.message, probe.next_step)
    else:
        check = ok(name, probe.message)
    report = DestinationReport(name=row.name, peer=row.peer_name, checks=(check,), accepted=probe.accepted)
    if not probe.is_usable:
        return report
    results = () if probe.accepted is None else _result_checks(row.name, row.results, report)
    return replace(report, checks=(check, *results, _withdrawal_check(row, report)))


def _withdrawal_check(row: DestinationKind, report: DestinationReport) -> Check:
    """Return how the destination learns of withdrawn results; whether it hides them cannot be tested."""
    name = f"withdrawals to destination {row.name}"
    if not row.takes_rejection_notes:
        return note(name, "it is told of no withdrawn result", "a person removes withdrawn results there")
    if report.accepted is not None and not report.accepted.get(KEY_OBJECT_SELECTION):
        next_step = f"have its administrator permit {UID(KEY_OBJECT_SELECTION).name}, or remove withdrawn results there"
        return note(name, "rejection notes are not accepted", next_step)
    return ok(name, f"are sent as {row.withdrawn_by}; whether it hides what is withdrawn cannot be tested")


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
