"""All checks of `cxr-node doctor`, in the order of its output."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node.db.database import SQLAlchemyError
from cxr_node.domain.errors import RetryLater
from cxr_node.ops import single_instance
from cxr_node.ops.checks import adt, audit, destinations, dicomweb, host, node, notifications, priors, remote, ups
from cxr_node.ops.checks.destinations import DestinationReport
from cxr_node.ops.checks.node import Check, Status
from cxr_node.ops.checks.sent_report import send_test_report
from cxr_node.queries import archived
from cxr_node.records import destination_capabilities, web_users
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.wiring.process import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Results of all checks, and what was negotiated with each destination."""

    checks: tuple[Check, ...]
    destinations: tuple[DestinationReport, ...]

    @property
    def has_problem(self) -> bool:
        """Whether a check failed."""
        return _has_problem(self.checks)


def diagnose(process: Process, *, test_reports: Sequence[str] = ()) -> Diagnosis:
    """Run all checks, store what the destinations accept, and send a test report to each of `test_reports`."""
    settings = process.settings
    checks = list(node.data_folder(settings))
    reports = [destinations.check_destination(settings, section) for section in settings.deliver.destinations]
    has_folder = not _has_problem(checks)
    if has_folder:
        checks.extend(_database_checks(process, reports))
    checks.extend(node.reading_bundles(settings))
    checks.extend(node.rules(settings))
    checks.extend(remote.inference_server(settings))
    checks.extend(adt.hl7_entrance(settings))
    checks.append(host.gpu(settings))
    checks.extend(host.certificate_checks(settings, now=process.clock()))
    checks.append(host.web(settings, stored_users=_stored_users(process) if has_folder else 0))
    checks.extend(dicomweb.server(process) if has_folder else ())
    checks.append(audit.trail(settings))
    if not reports:
        next_step = "add [[deliver.destinations]] to deliver them"
        checks.append(node.note("destinations", "results are archived but not delivered", next_step))
    checks.extend(check for report in reports for check in report.checks)
    checks.extend(notifications.receivers(settings))
    checks.extend(priors.sources(settings))
    checks.extend(ups.worklists(settings))
    checks.extend(_send_test_report(process, name, reports) for name in test_reports)
    return Diagnosis(checks=tuple(checks), destinations=tuple(reports))


def _stored_users(process: Process) -> int:
    """Return the number of users of the database who can log in; 0 if it cannot be asked, as another check says."""
    try:
        with process.database.read() as connection:
            return web_users.count(connection) if archived.has_schema(connection) else 0
    except (RetryLater, SQLAlchemyError):  # also a schema of an older version
        return 0


def _database_checks(process: Process, reports: Sequence[DestinationReport]) -> list[Check]:
    is_running = single_instance.is_locked(process.settings.node.data_folder)
    checks = [*host.ports(process.settings, is_running=is_running), node.database(process)]
    if checks[-1].status is Status.OK:
        _store_capabilities(process, reports)
        checks.extend(node.activated_bundle(process.database))
        checks.append(host.files(process))
        checks.extend(host.jobs(process.database, is_running=is_running, now=process.clock()))
    return checks


def _store_capabilities(process: Process, reports: Sequence[DestinationReport]) -> None:
    with process.database.write() as transaction:
        for report in reports:
            if report.accepted is not None:
                capabilities = DestinationCapabilities(
                    destination=report.name, peer=report.peer, accepted=report.accepted, negotiated_at=process.clock()
                )
                destination_capabilities.store(transaction, capabilities)


def _send_test_report(process: Process, name: str, reports: Sequence[DestinationReport]) -> Check:
    rows = {row.name: row for row in process.settings.deliver.destinations}
    if name not in rows:
        known = ", ".join(rows)
        return node.problem(f"test report to {name}", "there is no such destination", f"name one of {known}")
    return send_test_report(process, rows[name], next(report for report in reports if report.name == name))


def _has_problem(checks: Sequence[Check]) -> bool:
    return any(check.status is Status.PROBLEM for check in checks)
