"""`cxr-node demo`: films from a simulated modality through a node to a simulated PACS, without configuration."""

import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cxr_node.cli.terminal import CommandError, out, reporting_errors
from cxr_node.domain.identifiers import AeTitle
from cxr_node.report.sr import tree
from cxr_node.simulators import modality
from cxr_node.simulators.modality import SendResult
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from cxr_node.simulators.program import ROLES, Program

_NODE_TITLE = AeTitle("CXRNODE")
_MODALITY_TITLE = AeTitle("DEMO_DX")
_START_S = 600.0
_REPORTS_S = 600.0
"""Upper bounds for a busy machine. A node that ends is reported at once."""
_STOP_S = 60.0


def demo(
    films: Annotated[list[Path] | None, typer.Argument(help="DICOM files to send; default: three phantoms.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for all files; default: a new temporary folder.")] = None,
) -> None:
    """Start a node, a simulated PACS and a modality; send films and show the reports."""
    with reporting_errors(), ExitStack() as stack:
        folder = folder or Path(tempfile.mkdtemp(prefix="cxr-node-demo-"))
        folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
        out.print("Creating films, a simulated PACS and a node ...")
        to_send = films or _phantoms(folder / "films")
        reports = _Reports()
        pacs = stack.enter_context(SimulatedPacs(folder / "pacs", on_stored=reports.put))
        node = stack.enter_context(_node(folder, pacs))
        out.print(f"The node listens at {node.addresses['receive']} as {_NODE_TITLE}; the PACS on port {pacs.port}.")
        sent, stored_at = _send_and_wait(to_send, node, reports)
        _show(sent, stored_at, reports, folder)


class _Reports:
    """Reports that the PACS stored, by study."""

    def __init__(self) -> None:
        self.by_study: dict[str, StoredObject] = {}
        self._changed = threading.Condition()

    def put(self, stored: StoredObject) -> None:
        with self._changed:
            self.by_study[stored.study_instance_uid] = stored
            self._changed.notify_all()

    def wait(self, studies: set[str], timeout_s: float) -> bool:
        """Wait until there is a report of each study."""
        with self._changed:
            return self._changed.wait_for(lambda: studies <= self.by_study.keys(), timeout_s)


def _phantoms(folder: Path) -> list[Path]:
    """Write a normal chest, one with consolidation, and a lateral view, which the node does not analyse."""
    from cxr_node.phantom import dicom

    return dicom.write_examples(folder)


@contextmanager
def _node(folder: Path, pacs: SimulatedPacs) -> Iterator[Program]:
    """Run a node in child processes; the block is entered when every role is ready."""
    settings = folder / "cxr-node.toml"
    settings.write_text(
        f"""\
[node]
data_folder = "node"
[receive]
ae_title = "{_NODE_TITLE}"
port = 0
# A few films do not repay the measurement of engines, nor a preprocessing pool.
[read]
engine = "eager"
processes = 0
[compose]
study_quiet_s = 0.5
[log]
level = "warning"
[[deliver.destinations]]
kind = "cstore"
name = "pacs"
host = "127.0.0.1"
port = {pacs.port}
ae_title = "{pacs.ae_title}"
""",
        encoding="utf-8",
    )
    log = folder / "node.log"
    log.unlink(missing_ok=True)
    # In the terminal's process group, so that it ends with the terminal.
    with Program(settings, log=log, own_group=False, stop_s=_STOP_S) as node:
        _wait_until_ready(node)
        yield node


def _wait_until_ready(node: Program) -> None:
    """Wait until every role is ready.

    Raises
    ------
    CommandError
        If the node ends, or is not ready in time.
    """
    columns = (SpinnerColumn(), TextColumn("starting the node"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        progress.add_task("")
        is_ready = node.wait_until_ready(*ROLES, timeout_s=_START_S)
    if not is_ready:
        missing = ", ".join(role for role in ROLES if role not in node.addresses)
        raise CommandError(f"not ready: {missing}; {node.state()}")


def _send_and_wait(films: list[Path], node: Program, received: _Reports) -> tuple[list[SendResult], dict[str, float]]:
    """Send films, wait for the report of each study, and return when each film was stored."""
    host, _, port = node.addresses["receive"].rpartition(":")
    stored_at: dict[str, float] = {}
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        sending = progress.add_task("films sent", total=len(films))
        reporting = progress.add_task("reports in the PACS", total=len(films))

        def on_sent(result: SendResult) -> None:
            stored_at[result.film] = time.monotonic()
            progress.advance(sending)

        sent = modality.send(
            films,
            host=host,
            port=int(port),
            called_ae_title=_NODE_TITLE,
            calling_ae_title=_MODALITY_TITLE,
            on_sent=on_sent,
        )
        studies = {_study(result.film) for result in sent if result.stored}
        progress.update(reporting, total=len(studies))
        deadline = time.monotonic() + _REPORTS_S
        while not received.wait(studies, 0.2) and node.process.poll() is None and time.monotonic() < deadline:
            progress.update(reporting, completed=len(studies & received.by_study.keys()))
        progress.update(reporting, completed=len(studies & received.by_study.keys()))
    if not studies or not studies <= received.by_study.keys():
        raise CommandError(f"not every film got a report; {node.state()}")
    return sent, stored_at


def _show(sent: list[SendResult], stored_at: dict[str, float], received: _Reports, folder: Path) -> None:
    """Print each report as a tree, the times, and the folder of the files."""
    table = Table("film", "bytes", "C-STORE", "stored to report in PACS")
    for result in sent:
        stored = received.by_study[_study(result.film)]
        table.add_row(
            Path(result.film).name,
            f"{result.size_bytes:,}",
            f"{result.seconds * 1000:.0f} ms",
            f"{max(0.0, stored.at - stored_at[result.film]):.2f} s",
        )
    for stored in received.by_study.values():
        report = dcmread(folder / "pacs" / f"{stored.sop_instance_uid}.dcm")
        lines = ("  " * depth + text for depth, text in tree.lines(report, brief=True))
        title = f"Structured Report {stored.sop_instance_uid}.dcm"
        out.print(Panel(Text("\n".join(lines)), title=title, title_align="left"))
    out.print(table)
    out.print(f"Films, the node's data folder and the PACS's files are in {folder}", soft_wrap=True)
    out.print("Research use only: no reading is verified, and the built-in model is for trials of the node.")


def _study(film: str) -> str:
    return str(dcmread(film, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).StudyInstanceUID)
