"""`cxr-node reread`: read films again with the present bundle."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.database import read_write
from cxr_node.cli.searching import study_id_of
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, UntilOption, parse_time
from cxr_node.ops import rereads
from cxr_node.ops.rereads import RereadPlan
from cxr_node.records.rereads import Selection
from cxr_node.wiring.process import Process


def reread(
    path: ConfigOption = DEFAULT_CONFIG,
    study: Annotated[
        str, typer.Option(help="Only this study: accession number, Patient ID, study number, or a UID.")
    ] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    sender: Annotated[str, typer.Option(help="Only films of this calling AE title.")] = "",
    others_only: Annotated[
        bool, typer.Option("--others-only", help="Only films that another bundle read, or that were not analysed.")
    ] = False,
    sample: Annotated[
        int, typer.Option(min=0, help="Read this many films now, and show which calls differ; queue and send nothing.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be read and sent.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read films again with the present bundle, and send new versions of their results.

    `--since` and `--until` are of the time of reception. New films are read first. A report that says something new
    names the earlier one as its predecessor; one that says the same is not sent.
    """
    if not study and not since:
        raise typer.BadParameter("name a study (--study) or a period (--since)")
    with reporting_errors(), read_write(path) as process:
        selection = _selection(process, path, study, since, until, sender, others_only=others_only)
        with process.database.read() as connection:
            plan = rereads.plan(process, connection, selection)
        if sample:
            _print_sample(process, selection, sample, as_json=as_json)
            return
        study_id = selection.study_ids[0] if isinstance(selection.study_ids, tuple) else ""
        parts = {"study": study_id, "since": since, "until": until, "sender": sender}
        what = " ".join(f"{name} {value}" for name, value in parts.items() if value)
        queued = 0 if dry_run else rereads.reread(process, selection, what=f"{what}, by {plan.present_names}")
        _print(plan, queued, dry_run=dry_run, as_json=as_json)
        if not plan.films and not dry_run:
            raise CommandError("no film matches")


def _selection(
    process: Process, path: Path, study: str, since: str, until: str, sender: str, *, others_only: bool
) -> Selection:
    with process.database.read() as connection:
        study_ids = (study_id_of(connection, path, study),) if study else None
        present = rereads.present_models(process.settings, connection) if others_only else ()
    return Selection(
        study_ids=study_ids,
        since=parse_time(since),
        until=parse_time(until),
        calling_ae_title=sender,
        not_by=present,
    )


def _print(plan: RereadPlan, queued: int, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        document = {
            "films": plan.films,
            "studies": plan.studies,
            "by": [{"bundle": model and "@".join(model), "films": films} for model, films in plan.by.items()],
            "present": ["@".join(model) for model in plan.present],
            "results": dict(plan.results),
            "others": dict(plan.others),
            "queued": queued,
        }
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{plan.sentence} {'would be read again' if dry_run else 'queued to be read again'}")
    for sentence in plan.details:
        typer.echo(sentence)
    for phrase in plan.left:
        typer.echo(f"not read again: {phrase}")


def _print_sample(process: Process, selection: Selection, size: int, *, as_json: bool) -> None:
    # These import PyTorch, which takes seconds.
    from cxr_node.infer.bundle import BundleError
    from cxr_node.infer.remote.outcome import RemoteError
    from cxr_node.ops.reread_sample import read_sample

    try:
        sample = read_sample(process, selection, size=size)
    except (BundleError, RemoteError) as error:
        raise CommandError(f"the films cannot be read now: {error}") from None
    if as_json:
        typer.echo(json.dumps(asdict(sample)))
        return
    out.print(
        f"{sample.films} films read now: {sample.differing_calls} of {sample.calls} calls would change, "
        f"on {sample.differing_films} films"
    )
    if sample.changes:
        table = Table("finding", "stored", "now", "films")
        for change in sample.changes:
            table.add_row(change.finding, change.before, change.now, str(change.films))
        out.print(table)
