"""Test report sent to a destination, also to one that is not in the settings yet."""

from cxr_node.deliver.destination import DeliveryRejected, DestinationKind
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.ops.checks import node, trial_report
from cxr_node.ops.checks.destinations import DestinationReport
from cxr_node.ops.checks.node import Check
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.wiring.compose import observer
from cxr_node.wiring.process import Process


def send_test_report(process: Process, row: DestinationKind, report: DestinationReport) -> Check:
    """Send a test report in the best form that the destination accepts, as `report` says; return how it went."""
    title = f"test report to {row.name}"
    kind = KIND_BY_NAME[report.best_report or tid1500.REPORT.name]
    instance = trial_report.compose_test_report(kind, observer=observer(process), now=process.clock())
    destination = row.open(calling_ae_title=parse_ae_title(process.settings.receive.ae_title))
    try:
        receipt = destination.send(instance.content)
    except (RetryLater, DeliveryRejected) as error:
        return node.problem(title, str(error), "see the checks of the destination, and try again")
    patient = f"Patient ID {trial_report.PATIENT_ID}, SOP Instance UID {instance.identity.sop_instance_uid}"
    return node.ok(title, f"{kind.name} was accepted with status 0x{receipt.status:04X}: look up {patient}")
