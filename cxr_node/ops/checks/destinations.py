"""Whether a destination is there and takes what it is to be sent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.negotiation import negotiated
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.ops.checks.node import Check, fine, note, problem, why_not_written
from cxr_node.report.kinds.registry import KIND_BY_NAME, REPORT_FORMS, RESULT_KINDS
from cxr_node.settings.results import REPORT_BEST, CStoreSection, FolderSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import compose as results
from cxr_node.wiring import deliver

SOP_CLASSES: tuple[Uid, ...] = tuple(dict.fromkeys(kind.result_type.sop_class_uid for kind in RESULT_KINDS))
"""All that the node can send."""

_RICHER = "Comprehensive 3D, Comprehensive, Enhanced or Basic Text SR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found of a destination; `accepted` is None where it could not be asked."""

    name: str
    peer: str
    checks: tuple[Check, ...]
    accepted: Mapping[Uid, tuple[Uid, ...]] | None = field(default=None)

    @property
    def takes(self) -> dict[str, tuple[Uid, ...]]:
        """What it could be sent, with the transfer syntaxes that it takes it in."""
        if self.accepted is None:
            return {}
        accepted = {kind.name: self.accepted.get(kind.result_type.sop_class_uid, ()) for kind in RESULT_KINDS}
        return {name: syntaxes for name, syntaxes in accepted.items() if syntaxes}

    @property
    def best_report(self) -> str | None:
        """The form in which it is sent the report, if it asks for the best."""
        return next((form.name for form in REPORT_FORMS if form.name in self.takes), None)


def examined(settings: Settings, section: CStoreSection | FolderSection) -> Examined:
    """Look at a destination; nothing is sent to it but C-ECHO."""
    peer = results.peer_of(section)
    if isinstance(section, FolderSection):
        return Examined(name=section.name, peer=peer, checks=(_folder(section.name, Path(section.folder)),))
    destination = deliver.destinations(settings)[section.name]
    if not isinstance(destination, CStoreDestination):
        raise TypeError(f"{section.name} is no destination by C-STORE")
    name = f"destination {section.name}"
    try:
        said = negotiated(destination.remote, SOP_CLASSES)
    except RetryLater as error:
        return Examined(name=section.name, peer=peer, checks=(problem(name, str(error), _way(section)),))
    except DeliveryRejected as error:
        to_do = "have its administrator admit our AE title, and see that ae_title is right"
        return Examined(name=section.name, peer=peer, checks=(problem(name, str(error), to_do),))
    found = Examined(name=section.name, peer=peer, checks=(), accepted=said.accepted)
    secured = ", by TLS" if section.tls_ca else ""
    answered = fine(name, f"{peer} answers C-ECHO{secured}")
    if not said.echoed:
        answered = note(
            name, f"{peer} opens associations{secured}, but offers no Verification", "nothing, if it stores"
        )
    checks = (answered, *_wanted(section.name, section.results, found))
    return Examined(name=section.name, peer=peer, checks=checks, accepted=said.accepted)


def _folder(name: str, folder: Path) -> Check:
    fault = why_not_written(folder)
    if fault:
        to_do = "give it to the user of the node, or name another"
        return problem(f"destination {name}", f"{folder} cannot be written to: {fault}", to_do)
    return fine(f"destination {name}", f"{folder} can be written to")


def _way(section: CStoreSection) -> str:
    files = ", tls_ca and the certificates" if section.tls_ca else ""
    return f"see that it runs and that host, port, ae_title{files} are right; results wait until then"


def _wanted(destination: str, results: Sequence[str], found: Examined) -> Iterator[Check]:
    """Yield for each result it is to be sent whether it takes that."""
    for result in results:
        name = f"{result} to {destination}"
        if result == REPORT_BEST:
            yield _best(name, found)
            continue
        sop_class = UID(KIND_BY_NAME[result].result_type.sop_class_uid)
        if result in found.takes:
            syntaxes = ", ".join(UID(syntax).name for syntax in found.takes[result])
            yield fine(name, f"{sop_class.name} is taken, in {syntaxes}")
        else:
            yield problem(name, f"{sop_class.name} is not taken", _instead(result, sop_class, found))


def _best(name: str, found: Examined) -> Check:
    if found.best_report is None:
        to_do = "have its administrator admit one of them"
        return problem(name, f"it takes no report: no {_RICHER}", to_do)
    sop_class = UID(KIND_BY_NAME[found.best_report].result_type.sop_class_uid)
    return fine(name, f"it is sent {found.best_report}, {sop_class.name}")


def _instead(result: str, sop_class: UID, found: Examined) -> str:
    admit = f"have its administrator admit {sop_class}"
    if KIND_BY_NAME[result] in REPORT_FORMS and found.best_report is not None:
        return f'{admit}, or put "report-best" in its place: that comes to {found.best_report}'
    return f'{admit}, or take "{result}" out of its results'
