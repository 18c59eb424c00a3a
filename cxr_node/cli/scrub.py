"""`cxr-node scrub`: verification of every archive file against its digest."""

import json
from dataclasses import asdict

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, EXIT_FAILED, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.work.periodic.scrub import Scrubber


def scrub(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Verify every archived film and result against its digest. Exit status 1 if one is damaged or missing."""
    with reporting_errors(), read_write(path) as process:
        scrubbing = Scrubber(process.database, process.archive)
        damaged = scrubbing.whole()
    if as_json:
        files = [{**asdict(damage.file), "fault": damage.fault} for damage in damaged]
        typer.echo(json.dumps({"checked": scrubbing.checked, "damaged": files}, indent=2))
    else:
        for damage in damaged:
            out.print(f"DAMAGED {damage.file.archive_key}: {damage.fault}; restore it from a backup", markup=False)
        out.print(f"{scrubbing.checked} files read, {len(damaged)} damaged")
    if damaged:
        raise typer.Exit(EXIT_FAILED)
