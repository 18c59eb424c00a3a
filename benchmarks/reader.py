"""Throughput of the role `read`, compared with its bare network on prepared films.

    python -m benchmarks.reader                              # the table, about five minutes
    python -m benchmarks.reader --receiving 1 --set read.threads=1 --bundle densenet121

A node runs the role `read` only, with its films in the archive and the queue. The bare loop runs the same network, with
as many threads, on films prepared beforehand, one after the other, in this process, while the node is idle. Rounds are
interleaved: bare, then the node on each kind of film. The ratio is that of films a second in the same round: its
median, minimum and maximum over all rounds; "CPU ms" is processor time per film, of the role itself with its network
and of its preprocessing processes. With --receiving the role `receive` runs too and receives that many films a second,
which are read and counted too. Films are phantoms of 15 MB, enlarged. "densenet121" is that network with random
weights.
"""

import argparse
import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pydicom
from pydicom import uid
from sqlalchemy import func, select

from benchmarks.end_to_end import write_film
from benchmarks.load.sender import Order
from benchmarks.load.sender_process import Sending, sender
from benchmarks.load.tables import markdown
from benchmarks.pixels import in_transfer_syntaxes
from cxr_node import config, pipeline
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import ENDED, Event, Stage, State
from cxr_node.db.tables import job, job_event
from cxr_node.queue import queue
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from tests.support import running_node
from tests.support.node import received
from tests.support.queue import SENDER

KINDS = ("uncompressed", "RLE", "JPEG Lossless", "JPEG 2000 lossless")
HEADINGS = ("films", "bare films/s", "node films/s", "ratio", "least to most", "CPU ms: role", "pool")
_ENLARGED = 6
_MAX_WAIT_S = 600.0


@dataclass(slots=True)
class Rounds:
    """Measurements of one kind of film, a number per round."""

    bare: list[float] = field(default_factory=list)
    node: list[float] = field(default_factory=list)
    role_ms: list[float] = field(default_factory=list)
    pool_ms: list[float] = field(default_factory=list)

    def row(self, kind: str) -> tuple[str, ...]:
        """Return the row of the table."""
        ratios = [node / bare for node, bare in zip(self.node, self.bare, strict=True)]
        numbers = (statistics.median(rates) for rates in (self.bare, self.node))
        costs = (f"{statistics.median(times):.0f}" for times in (self.role_ms, self.pool_ms))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        return kind, *(f"{rate:.1f}" for rate in numbers), f"{statistics.median(ratios):.2f}", spread, *costs


def densenet(folder: Path) -> Path:
    """Write a bundle of DenseNet-121 with random weights and the published preparation; return its folder."""
    from cxr_node.infer import center_crop
    from cxr_node.infer.export import export_network
    from cxr_node.infer.networks.densenet import DenseNet
    from cxr_node.infer.prepare import Frame
    from cxr_node.infer.published import Recentered
    from tests.support import tiny_bundles

    network = Recentered(DenseNet(18), outputs=[0], thresholds=[0.5]).eval()
    content = export_network(network, Frame(rows=224, columns=224, recipe=center_crop.RECIPE))
    changes = (
        (r"rows = 32\ncolumns = 32", "rows = 224\ncolumns = 224"),
        (r"value_range = .*", f"value_range = {list(center_crop.VALUE_RANGE)}"),
        ("squash-area", center_crop.RECIPE),
        ('name = "tiny"', 'name = "densenet121"'),
    )
    return tiny_bundles.bundle(folder, content=content, changes=changes)


def enqueue(process: Process, film: bytes, count: int) -> list[int]:
    """Store and enqueue `count` copies of a film, each in its own study; return their jobs."""
    for _ in range(count):
        dataset = pydicom.dcmread(io.BytesIO(film))
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(dataset, keyword, uid.generate_uid())
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        pipeline.accept(
            received(dataset), SENDER, archive=process.archive, database=process.database, clock=process.clock
        )
    with process.database.read() as connection:
        newest = select(job.c.id).where(job.c.stage == Stage.READ).order_by(job.c.id.desc()).limit(count)
        return list(connection.execute(newest).scalars())


def bare(process: Process, count: int) -> Callable[[], float]:
    """Return a loop that runs the network on `count` prepared films and returns the films a second."""
    reader = open_reader(process)
    size = reader.adapter.card.input
    low, high = size.value_range
    generator = np.random.default_rng(1)
    prepared = [generator.uniform(low, high, (size.rows, size.columns)).astype(np.float32) for _ in range(8)]

    def loop() -> float:
        started = time.monotonic()
        for number in range(count):
            reader.forward([prepared[number % len(prepared)]])
        return count / (time.monotonic() - started)

    return loop


def until_read(opened: Database, jobs: Sequence[int] = ()) -> None:
    """Wait until the films of `jobs`, or all, have been read."""
    which = (job.c.stage == Stage.READ, job.c.id.in_(jobs)) if jobs else (job.c.stage == Stage.READ,)
    deadline = time.monotonic() + _MAX_WAIT_S
    while True:
        with opened.read() as connection:
            states = set(connection.execute(select(job.c.state).where(*which)).scalars())
        if states & (ENDED - {State.DONE}):
            raise RuntimeError("a film was not analysed")
        if states <= {State.DONE}:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the films were not read in time")
        time.sleep(0.05)


class ReadRole:
    """The node's role `read`, observed through its database and the operating system."""

    def __init__(self, opened: Database, process_id: int) -> None:
        self._opened = opened
        self._supervisor = psutil.Process(process_id)

    def run_round(self, jobs: list[int], rounds: Rounds) -> None:
        """Read the films of `jobs` again and record the results."""
        before, started = self._cpu_s(), datetime.now(UTC)
        with self._opened.write() as transaction:
            queue.requeue(transaction, jobs, actor="benchmark", now=started)
        until_read(self._opened, jobs)
        count, ended = self._read_since(started)
        after = self._cpu_s()
        rounds.node.append(count / (ended - started).total_seconds())
        rounds.role_ms.append((after[0] - before[0]) * 1000 / count)
        rounds.pool_ms.append((after[1] - before[1]) * 1000 / count)

    def _read_since(self, started: datetime) -> tuple[int, datetime]:
        """Return the number of films read since, and the time of the last."""
        ended = (job.c.id == job_event.c.job_id, job.c.stage == Stage.READ, job_event.c.event == Event.FINISHED)
        with self._opened.read() as connection:
            query = select(func.count(), func.max(job_event.c.at)).where(*ended, job_event.c.at > started)
            count, last = connection.execute(query).one()
        return count, last

    def _cpu_s(self) -> tuple[float, float]:
        """Return the processor time of the role, and of its child processes."""
        role = next(child for child in self._supervisor.children() if "read" in child.cmdline())
        own, pool = sum(role.cpu_times()[:2]), 0.0
        for child in role.children(recursive=True):
            pool += sum(child.cpu_times()[:2])
        return own, pool


@contextmanager
def sent(sending: Sending | None, port: int, path: Path, a_second: float) -> Iterator[None]:
    """Send films to the node at a constant rate while the block lasts."""
    stopping = threading.Event()

    def send() -> None:
        run = 1
        while sending is not None and not stopping.is_set():
            sending.send(Order(port=port, path=str(path), run=run, films=4, every_s=1 / a_second))
            run += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def settings_of(folder: Path, bundle: str, changes: Mapping[str, str]) -> Path:
    """Write the settings of the node; `changes` are of the section read, as TOML."""
    path = running_node.settings_file(folder)
    values = {"threads": "1", "processes": '"auto"', "bundle": f'"{bundle}"', **changes}
    lines = "\n".join(f"{key} = {value}" for key, value in values.items())
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('threads = 1\nprocesses = 0\nengine = "eager"', lines), encoding="utf-8")
    return path


def run(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Rounds]:
    """Measure, and return the rounds of each kind of film."""
    changes = dict(option.removeprefix("read.").split("=", 1) for option in options.set)
    bundle = str(densenet(folder / "densenet121")) if options.bundle == "densenet121" else options.bundle
    path = settings_of(folder, bundle, changes)
    process = stack.enter_context(Process.open(config.load(path)))
    film = write_film(folder, enlarged=_ENLARGED)
    opened = process.database
    migrate.upgrade(opened)
    contents = in_transfer_syntaxes(pydicom.dcmread(film), options.kinds)
    jobs = {kind: enqueue(process, contents[kind], options.films) for kind in options.kinds}
    roles = ("receive", "read") if options.receiving else ("read",)
    loop = bare(process, options.films)
    node = stack.enter_context(running_node.running(path, wait_for=roles, roles=roles))
    sending = stack.enter_context(sender()) if options.receiving else None
    until_read(opened)
    reads, measured = ReadRole(opened, node.process.pid), {kind: Rounds() for kind in options.kinds}
    for _ in range(options.rounds):
        for kind, rounds in measured.items():
            rounds.bare.append(loop())
            with sent(sending, node.port, film, options.receiving) if sending else nullcontext():
                reads.run_round(jobs[kind], rounds)
            if sending:
                until_read(opened)
    return measured


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--films", type=int, default=12, help="of each kind in each round")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--bundle", default="chest", help='of the node, or "densenet121"')
    parser.add_argument("--receiving", type=float, default=0.0, metavar="FILMS", help="received a second meanwhile")
    parser.add_argument("--set", nargs="*", default=[], metavar="read.KEY=VALUE", help="settings, as in a file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        measured = run(options, Path(folder), stack)
    for line in markdown(HEADINGS, (rounds.row(kind) for kind, rounds in measured.items())):
        print(line)


if __name__ == "__main__":
    main()
