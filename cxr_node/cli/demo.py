"""`cxr-node demo`: films from a simulated modality through a node to a simulated PACS, without configuration."""

import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import BasicTextSRStorage
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from cxr_node.cli import demo_files, demo_page, demo_table
from cxr_node.cli.database import reading_database
from cxr_node.cli.demo_files import study_of
from cxr_node.cli.demo_page import Account
from cxr_node.cli.terminal import CommandError, out, reporting_errors
from cxr_node.db.states import ENDED
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queue import search
from cxr_node.simulators import modality
from cxr_node.simulators.demo_films import write_demo_films
from cxr_node.simulators.modality import SendResult
from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from cxr_node.simulators.program import ROLES, Program

_NODE_TITLE = AeTitle("CXRNODE")
_MODALITY_TITLE = AeTitle("DEMO_DX")
_START_S = 600.0
_REPORTS_S = 600.0
"""Upper bounds for a busy machine. A node that ends is reported at once."""
_STOP_S = 60.0
_POLL_S = 0.2
_CHOSEN = (
    "The four real films were chosen because the model reads them right; its card has its error rates. "
    "Images provided by the NIH Clinical Center (ChestX-ray14, Wang et al., CVPR 2017)."
)
_CLOSING = "Research use only: no reading is verified, and the built-in model is for trials of the node."


def demo(
    films: Annotated[
        list[Path] | None, typer.Argument(help="DICOM files to send; default: four real films and a phantom.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for all files; default: a new temporary folder.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave node and web page running until Ctrl+C.")] = False,
) -> None:
    """Start a node, a simulated PACS and a modality; send films and show the results."""
    with reporting_errors(), ExitStack() as stack:
        folder = folder or Path(tempfile.mkdtemp(prefix="cxr-node-demo-"))
        folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
        out.print("Creating films, a simulated PACS and a node ...")
        to_send = dict.fromkeys(films, "") if films else write_demo_films(folder / "films")
        results = _Results()
        pacs = stack.enter_context(SimulatedPacs(folder / "pacs", on_stored=results.put))
        page = demo_page.new_account() if keep else None
        node = stack.enter_context(_node(folder, pacs, page))
        out.print(f"The node listens at {node.addresses['receive']} as {_NODE_TITLE}; the PACS on port {pacs.port}.")
        sent, stored_at = _send_and_wait(list(to_send), node, results)
        _wait_until_idle(node)
        _show(sent, stored_at, results, folder)
        demo_table.show(node.config, to_send, folder, page_address=node.addresses.get("admin", ""))
        out.print(_CLOSING if films else f"{_CHOSEN}\n{_CLOSING}", soft_wrap=True)
        if page is not None:
            demo_page.stay(node, page)


class _Results:
    """Objects that the PACS stored, by study, in the order of their storage."""

    def __init__(self) -> None:
        self.by_study: dict[str, list[StoredObject]] = {}
        self._changed = threading.Condition()

    def put(self, stored: StoredObject) -> None:
        with self._changed:
            self.by_study.setdefault(stored.study_instance_uid, []).append(stored)
            self._changed.notify_all()

    def wait(self, studies: set[str], timeout_s: float) -> bool:
        """Wait until there is a result of each study."""
        with self._changed:
            return self._changed.wait_for(lambda: studies <= self.by_study.keys(), timeout_s)


@contextmanager
def _node(folder: Path, pacs: SimulatedPacs, page: Account | None) -> Iterator[Program]:
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
results = ["report", "text", "picture"]
{page.settings if page is not None else ""}""",
        encoding="utf-8",
    )
    log = folder / "node.log"
    log.unlink(missing_ok=True)
    # In the terminal's process group, so that it ends with the terminal.
    roles = ROLES if page is None else (*ROLES, "admin")
    with Program(settings, log=log, roles=roles, own_group=False, stop_s=_STOP_S) as node:
        _wait_until_ready(node, roles)
        yield node


def _wait_until_ready(node: Program, roles: Sequence[str] = ROLES) -> None:
    """Wait until every role is ready.

    Raises
    ------
    CommandError
        If the node ends, or is not ready in time.
    """
    columns = (SpinnerColumn(), TextColumn("starting the node"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        progress.add_task("")
        is_ready = node.wait_until_ready(*roles, timeout_s=_START_S)
    if not is_ready:
        missing = ", ".join(role for role in roles if role not in node.addresses)
        raise CommandError(f"not ready: {missing}; {node.state()}")


def _send_and_wait(films: list[Path], node: Program, received: _Results) -> tuple[list[SendResult], dict[str, float]]:
    """Send films, wait for the report of each study, and return when each film was stored."""
    host, _, port = node.addresses["receive"].rpartition(":")
    stored_at: dict[str, float] = {}
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        sending = progress.add_task("films sent", total=len(films))
        reporting = progress.add_task("studies answered", total=len(films))

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
        studies = {study_of(Path(result.film)) for result in sent if result.stored}
        progress.update(reporting, total=len(studies))
        deadline = time.monotonic() + _REPORTS_S
        while not received.wait(studies, 0.2) and node.process.poll() is None and time.monotonic() < deadline:
            progress.update(reporting, completed=len(studies & received.by_study.keys()))
        progress.update(reporting, completed=len(studies & received.by_study.keys()))
    if not studies or not studies <= received.by_study.keys():
        raise CommandError(f"not every film got a report; {node.state()}")
    return sent, stored_at


def _wait_until_idle(node: Program) -> None:
    """Wait until every job has ended, so that every result is in the PACS.

    Raises
    ------
    CommandError
        If the node ends first, or the time is over.
    """
    deadline = time.monotonic() + _REPORTS_S
    while node.process.poll() is None and time.monotonic() < deadline:
        with reading_database(node.config) as connection:
            if all(count.state in ENDED for count in search.counts(connection)):
                return
        time.sleep(_POLL_S)
    raise CommandError(f"not every result was delivered; {node.state()}")


def _show(sent: list[SendResult], stored_at: dict[str, float], received: _Results, folder: Path) -> None:
    """Write report and picture of each film for people, print the words of one, and the times."""
    seconds = []
    for result in sent:
        stored = received.by_study[study_of(Path(result.film))]
        seconds.append(max(0.0, stored[0].at - stored_at[result.film]))
        demo_files.write_readable(stored, folder, Path(result.film).stem)
    film = Path(sent[len(sent) // 2].film)
    for dataset in demo_files.of_class(received.by_study[study_of(film)], BasicTextSRStorage):
        text = Text(demo_files.text_of(dataset))
        out.print(Panel(text, title=f"Basic Text SR of {film.stem}", title_align="left", expand=False))
    out.print(f"From C-STORE to the first result in the PACS: {min(seconds):.1f} to {max(seconds):.1f} s.")
