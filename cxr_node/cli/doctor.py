"""`cxr-node doctor`: whether the node can work as it is configured, and what to do where it cannot."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, explained, out
from cxr_node.db.database import Database
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.errors import RetryLater
from cxr_node.ops import single_instance
from cxr_node.ops.checks import audit, host, node, trial_report
from cxr_node.ops.checks import destinations as destination_checks
from cxr_node.ops.checks.destinations import Examined
from cxr_node.ops.checks.node import Check, Status
from cxr_node.records import destination_capabilities
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.settings.root import Settings
from cxr_node.wiring import compose, deliver, process

_WORDS = {Status.OK: "ok      ", Status.NOTE: "note    ", Status.PROBLEM: "PROBLEM "}


def doctor(
    path: ConfigOption = DEFAULT_CONFIG,
    send_to: Annotated[
        list[str] | None,
        typer.Option("--test-report", help="A destination to send a report to that says it is a test, of no patient."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at folders, database, work, model, GPU, certificates, ports and destinations, and say what to do.

    Exit status 1 if a person must mend something.

    What each destination says it takes is kept: one with "report-best" is sent the best form among it.
    """
    with explained():
        settings = config.load(path)
    said = [node.Check(name="settings", status=Status.OK, said=f"{path}: every setting is right")]
    said.extend(node.data_folder(settings))
    found = [destination_checks.examined(settings, each) for each in settings.deliver.destinations]
    said.extend(_database(settings, found, folder_is_there=not _has_problem(said)))
    said.append(node.bundle(settings))
    said.append(host.gpu(settings))
    said.extend(host.of_certificates(settings, now=process.now()))
    said.append(host.page(settings))
    said.append(audit.trail(settings))
    if not found:
        to_do = "add [[deliver.destinations]] for results to go somewhere"
        said.append(node.note("destinations", "results are kept and go nowhere", to_do))
    said.extend(check for each in found for check in each.checks)
    said.extend(_tested(settings, name, found) for name in send_to or ())
    _print_json(said, found) if as_json else _print(said)
    if _has_problem(said):
        raise typer.Exit(EXIT_FAILED)


def _database(settings: Settings, found: list[Examined], *, folder_is_there: bool) -> list[Check]:
    """Look at the database and at what it says of the work, and keep there what the destinations said."""
    if not folder_is_there:
        return []
    opened = process.database(settings)
    try:
        runs = single_instance.is_locked(settings.node.data_folder)
        said = [*host.ports(settings, runs=runs), node.database(settings, opened)]
        if said[-1].status is Status.OK:
            _keep(opened, found)
            said.extend(node.bundle_for_all(opened))
            said.append(host.files(settings, opened))
            said.extend(host.work(opened, runs=runs, now=process.now()))
    finally:
        opened.close()
    return said


def _keep(opened: Database, found: list[Examined]) -> None:
    with opened.write() as transaction:
        for each in found:
            if each.accepted is not None:
                said = DestinationCapabilities(
                    destination=each.name, peer=each.peer, accepted=each.accepted, negotiated_at=process.now()
                )
                destination_capabilities.store(transaction, said)


def _tested(settings: Settings, name: str, found: list[Examined]) -> Check:
    """Send a test report to a destination, in the best form that it takes."""
    title, destinations = f"test report to {name}", deliver.destinations(settings)
    if name not in destinations:
        return node.problem(title, "there is no such destination", f"name one of {', '.join(destinations)}")
    best = next(each.best_report for each in found if each.name == name) or tid1500.REPORT.name
    report = trial_report.composed(KIND_BY_NAME[best], observer=compose.observer(settings), now=process.now())
    try:
        receipt = destinations[name].send(report.content)
    except (RetryLater, DeliveryRejected) as error:
        return node.problem(title, str(error), "see what is said of the destination, and try again")
    patient = f"Patient ID {trial_report.PATIENT_ID}, SOP Instance UID {report.identity.sop_instance_uid}"
    return node.fine(title, f"{best} was taken with status 0x{receipt.status:04X}: {patient}; look it up there")


def _has_problem(said: list[Check]) -> bool:
    return any(check.status is Status.PROBLEM for check in said)


def _print(said: list[Check]) -> None:
    for check in said:
        out.print(f"{_WORDS[check.status]} {check.name}: {check.said}", markup=False, soft_wrap=True)
        if check.next:
            out.print(f"{'':10}next: {check.next}", markup=False, soft_wrap=True)


def _print_json(said: list[Check], found: list[Examined]) -> None:
    destinations = [
        {"name": each.name, "peer": each.peer, "takes": each.takes, "best_report": each.best_report} for each in found
    ]
    checked = [asdict(check) for check in said]
    typer.echo(json.dumps({"ok": not _has_problem(said), "checks": checked, "destinations": destinations}, indent=2))
