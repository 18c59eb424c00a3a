"""`cxr-node doctor`: checks whether the node can work as configured, with the next step for each problem."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.ops.checks.destinations import DestinationReport
from cxr_node.ops.checks.doctor import diagnose
from cxr_node.ops.checks.node import Check, Status, ok
from cxr_node.wiring.process import Process

_WORDS = {Status.OK: "ok      ", Status.NOTE: "note    ", Status.PROBLEM: "PROBLEM "}


def doctor(
    path: ConfigOption = DEFAULT_CONFIG,
    test_reports: Annotated[
        list[str] | None, typer.Option("--test-report", help="Send a test report, of no patient, to this destination.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check folders, database, jobs, bundle, GPU, certificates, ports and destinations; print what to do.

    Exit status 1 if there is a problem.

    What each destination accepts is stored: "report-best" selects the best form among it.
    """
    with reporting_errors():
        settings = config.load(path)
    with Process.open(settings) as process:
        diagnosis = diagnose(process, test_reports=test_reports or ())
    checks = [ok("settings", f"{path} is valid"), *diagnosis.checks]
    if as_json:
        _print_json(checks, diagnosis.destinations, is_ok=not diagnosis.has_problem)
    else:
        print_checks(checks)
    if diagnosis.has_problem:
        raise typer.Exit(EXIT_FAILED)


def print_checks(checks: Sequence[Check]) -> None:
    """Print checks for people, each problem with its next step."""
    for check in checks:
        out.print(f"{_WORDS[check.status]} {check.name}: {check.message}", markup=False, soft_wrap=True)
        if check.next_step:
            out.print(f"{'':10}next: {check.next_step}", markup=False, soft_wrap=True)


def _print_json(checks: Sequence[Check], reports: Sequence[DestinationReport], *, is_ok: bool) -> None:
    destinations = [
        {
            "name": report.name,
            "peer": report.peer,
            "accepted_results": report.accepted_results,
            "best_report": report.best_report,
        }
        for report in reports
    ]
    results = [asdict(check) for check in checks]
    typer.echo(json.dumps({"ok": is_ok, "checks": results, "destinations": destinations}, indent=2))
