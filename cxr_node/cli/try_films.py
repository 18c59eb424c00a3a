"""`cxr-node try`: a folder of files through admission, gate, decoding and reading; nothing is sent or kept."""

import csv
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, err, out, reporting_errors
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.ops.formatting import finding_words, score_words
from cxr_node.ops.trial import sheet
from cxr_node.ops.trial.rows import Answer, Row
from cxr_node.ops.trial.run import Trial
from cxr_node.ops.trial.sheet import SheetFacts
from cxr_node.ops.trial.sources import Source, find_sources, printable, spread
from cxr_node.ops.trial.summary import GroupCount, Summary, summarize
from cxr_node.settings.root import Settings
from cxr_node.wiring.trial import open_trial

_DEFAULTS = "default settings"


def try_films(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders, zip archives, DICOMDIRs or DICOM files.")
    ],
    html: Annotated[Path | None, typer.Option("--html", help="Write an HTML sheet with pictures to this file.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="At most this many files, spread evenly over all that are there.")
    ] = 1_000_000,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line a file.")] = False,
) -> None:
    """Try films with the settings of a node: which are read, which are not and why, findings and times.

    Nothing is sent to a destination, and the node's database and archive are not opened. Patient names and IDs are
    left out; file names are shown.
    """
    with reporting_errors():
        if as_json and as_csv:
            raise CommandError("--json and --csv exclude each other")
        _check_paths(paths, html)
        _silence_libraries()
        settings = config.load(path) if path.exists() or path != DEFAULT_CONFIG else Settings()
        sources = find_sources(paths)
        chosen = spread(sources, limit)
        if not sources:
            raise CommandError("there are no files in these folders")
        at = datetime.now().astimezone()
        with tempfile.TemporaryDirectory(prefix="cxr-node-try-") as pictures:
            rows = _run(chosen, settings, Path(pictures) if html is not None else None, is_quiet=as_json or as_csv)
            summary, remark = summarize(rows), _remark(len(rows), len(chosen), len(sources))
            if html is not None:
                facts = SheetFacts(
                    places=printable(", ".join(map(str, paths))),
                    settings=f"settings of {path}" if path.exists() else _DEFAULTS,
                    at=at,
                    remark=remark,
                )
                _write(html, rows, summary, facts)
        if as_json:
            typer.echo(json.dumps({**summary.plain(), "rows": [row.plain() for row in rows]}, indent=2))
        elif as_csv:
            typer.echo(_csv(rows), nl=False)
        else:
            _print(rows, summary, remark)


def _check_paths(paths: Sequence[Path], html: Path | None) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise CommandError(f"there is no such file or folder: {', '.join(missing)}")
    if html is not None and not html.absolute().parent.is_dir():
        raise CommandError(f"--html {html}: there is no folder {html.absolute().parent}")


def _remark(tried: int, chosen: int, files: int) -> str:
    """Return how many files were not tried, and why; empty if all were."""
    if tried < chosen:
        return f"Stopped by Ctrl+C after {tried} of {chosen} files."
    return f"Of {files} files, {tried} were tried, spread evenly over all." if chosen < files else ""


def _silence_libraries() -> None:
    """Silence pydicom, which quotes values of films, and the node's own warnings, which the rows have as reasons."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    logging.getLogger("cxr_node").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pydicom")


def _run(sources: Sequence[Source], settings: Settings, pictures: Path | None, *, is_quiet: bool) -> list[Row]:
    """Try the sources; return their rows, those so far if a person stopped it."""
    # Imports torch, which takes seconds.
    from cxr_node.infer.bundle import BundleError

    if not is_quiet:
        err.print("Loading the network ...")
    rows: list[Row] = []
    columns = (TextColumn("trying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with (
            open_trial(settings) as reader,
            Progress(*columns, console=err, transient=True, disable=is_quiet) as progress,
        ):
            trial = Trial(
                reader=reader,
                maximum_object_bytes=settings.receive.maximum_object_bytes,
                crash_limit=settings.read.crash_limit,
                pictures=pictures,
            )
            rows.extend(progress.track(trial.run(sources), total=len(sources)))
    except BundleError as error:
        raise CommandError(str(error)) from None
    except KeyboardInterrupt:
        if not rows:
            raise
    return rows


def _write(html: Path, rows: Sequence[Row], summary: Summary, facts: SheetFacts) -> None:
    try:
        folder = sheet.write(html, rows, summary, facts)
    except OSError as error:
        raise CommandError(f"--html {html}: {error.strerror}") from None
    beside = "" if folder is None else f", with its pictures in {folder}"
    err.print(
        f"The sheet is {html}{beside}. It shows films and file names: keep it as you keep the films.", markup=False
    )


def _csv(rows: Sequence[Row]) -> str:
    """Return a line for each file; findings and notes are joined in one column each."""
    text = io.StringIO()
    documents = [
        {
            **row.plain(),
            "findings": _findings(row, is_whole=True),
            "notes": "; ".join(row.notes),
            "models": "; ".join(row.models),
        }
        for row in rows
    ]
    writer = csv.DictWriter(text, list(documents[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(documents)
    return text.getvalue()


def _print(rows: Sequence[Row], summary: Summary, remark: str) -> None:
    table = Table("file", "answer", "why", "view", "findings, score / threshold", "s")
    for row in rows:
        seconds = f"{row.seconds:.2f}" if row.seconds else ""
        table.add_row(row.file, row.answer, row.why, row.view, _findings(row), seconds)
    out.print(table, markup=False)
    counts = Table("answer", "why", "files", title="Answers", title_justify="left")
    for count in summary.reasons:
        counts.add_row(count.answer, count.meaning, str(count.files))
    out.print(counts)
    out.print(_group_table("manufacturer and model", summary.devices))
    out.print(_group_table("transfer syntax", summary.transfer_syntaxes))
    if summary.seconds is not None:
        half, most, longest = summary.seconds
        out.print(f"seconds to read a film: half within {half:.2f}, 90 % within {most:.2f}, longest {longest:.2f}")
    models = f" by {', '.join(summary.models)}" if summary.models else ""
    out.print(f"{summary.read} of {summary.files} files were read{models}; nothing was sent", markup=False)
    if any(isinstance(row.reason, Reason) for row in rows):
        out.print("`cxr-node explain` says what each reason means, and what to do")
    if remark:
        out.print(remark, markup=False)


def _group_table(name: str, groups: Sequence[GroupCount]) -> Table:
    table = Table(name, "files", "read", "not read")
    for group in groups:
        reasons = "; ".join(f"{number} {reason}" for reason, number in group.reasons)
        table.add_row(group.name, str(group.films), str(group.read), reasons)
    return table


def _findings(row: Row, *, is_whole: bool = False) -> str:
    """Return the findings that are not absent, or all, each with score and threshold."""
    words = [
        f"{finding_words(finding.code_meaning, finding.laterality, finding.presence)} "
        f"{score_words(finding.key, finding.score, finding.operating_point)}"
        for finding in row.findings
        if is_whole or finding.presence is not Presence.ABSENT
    ]
    return "; ".join(words) or ("no finding" if row.answer is Answer.READ else "")
