"""`cxr-node doctor`: whether the node can work as it is configured, and what to do where it cannot."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.admin import audit_checks, checks, destination_checks, machine_checks, trial_report
from cxr_node.admin.checks import Check, Status
from cxr_node.admin.destination_checks import Examined
from cxr_node.admin.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, explained, out
from cxr_node.deliver.destination import Refused
from cxr_node.domain.errors import RetryLater
from cxr_node.jobs import negotiations
from cxr_node.jobs.database import Database
from cxr_node.jobs.negotiations import Negotiation
from cxr_node.node import delivering, places, results
from cxr_node.settings.results import ResultName
from cxr_node.settings.whole import Settings

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
    said = [checks.Check(name="settings", status=Status.OK, said=f"{path}: every setting is right")]
    said.extend(checks.data_folder(settings))
    found = [destination_checks.examined(settings, each) for each in settings.deliver.destinations]
    said.extend(_database(settings, found, folder_is_there=not _has_problem(said)))
    said.append(checks.bundle(settings))
    said.append(machine_checks.gpu(settings))
    said.extend(machine_checks.of_certificates(settings, now=places.now()))
    said.append(machine_checks.page(settings))
    said.append(audit_checks.trail(settings))
    if not found:
        to_do = "add [[deliver.destinations]] for results to go somewhere"
        said.append(checks.note("destinations", "results are kept and go nowhere", to_do))
    said.extend(check for each in found for check in each.checks)
    said.extend(_tested(settings, name, found) for name in send_to or ())
    _print_json(said, found) if as_json else _print(said)
    if _has_problem(said):
        raise typer.Exit(EXIT_FAILED)


def _database(settings: Settings, found: list[Examined], *, folder_is_there: bool) -> list[Check]:
    """Look at the database and at what it says of the work, and keep there what the destinations said."""
    if not folder_is_there:
        return []
    opened = places.database(settings)
    try:
        runs = machine_checks.is_running(settings)
        said = [*machine_checks.ports(settings, runs=runs), checks.database(settings, opened)]
        if said[-1].status is Status.OK:
            _keep(opened, found)
            said.extend(checks.bundle_for_all(opened))
            said.append(machine_checks.files(settings, opened))
            said.extend(machine_checks.work(opened, runs=runs, now=places.now()))
    finally:
        opened.close()
    return said


def _keep(opened: Database, found: list[Examined]) -> None:
    with opened.write() as transaction:
        for each in found:
            if each.accepted is not None:
                said = Negotiation(destination=each.name, peer=each.peer, accepted=each.accepted, asked_at=places.now())
                negotiations.keep(transaction, said)


def _tested(settings: Settings, name: str, found: list[Examined]) -> Check:
    """Send a test report to a destination, in the best form that it takes."""
    title, destinations = f"test report to {name}", delivering.destinations(settings)
    if name not in destinations:
        return checks.problem(title, "there is no such destination", f"name one of {', '.join(destinations)}")
    best = next(each.best_report for each in found if each.name == name) or ResultName.REPORT
    report = trial_report.composed(results.RESULT_KINDS[best], node=results.observer(settings), now=places.now())
    try:
        receipt = destinations[name].send(report.content)
    except (RetryLater, Refused) as error:
        return checks.problem(title, str(error), "see what is said of the destination, and try again")
    patient = f"Patient ID {trial_report.PATIENT_ID}, SOP Instance UID {report.identity.sop_instance_uid}"
    return checks.fine(title, f"{best} was taken with status 0x{receipt.status:04X}: {patient}; look it up there")


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
