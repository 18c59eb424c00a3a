"""Cost of a film's whole way, by stage: receive, read, compose, deliver.

    python -m benchmarks.cost                                # the table of an uncompressed film, under a minute
    python -m benchmarks.cost --film "JPEG Lossless" --json now.json --stacks film.folded
    python -m benchmarks.cost --compare benchmarks/cost.json

A node runs in this process, wired as its roles are, without processes beside it except those that decode compressed
frames: what is handed from process to process in a running node is not part of it. A sender and a simulated PACS run in
processes of their own. Films are phantoms of 15 MB, DX, one at a time; results are those of --results. As in a role,
objects of the start are excluded from garbage collection. Memory for the files is taken from the host before: on a
virtual machine the first use of a page costs six times as much as writing it. Columns, for one film:

- CPU ms and wall ms: medians of the rounds, of this process and its decoding processes. A stage does not include those
  below it in the table that it calls.
- loops: processor time in calibration loops of the same round, to compare machines and loads.
- new pages MB: memory that the kernel provided, page by page, on first use. A copy of a film into new memory is 15 MB.
- moved MB: bytes that this process had read and written by system calls. Sockets are not included.
- peak MB: the most memory that Python and NumPy held beyond the start of the stage, of a film of its own.
- calls: of Python and built-in functions, of a film of its own.

The file of --stacks has processor time by stack, "folded", as flame graph programs read it (speedscope, flamegraph.pl,
inferno). --compare warns of stages that cost more than in an earlier file of --json, and never fails.
"""

import argparse
import gc
import io
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pydicom

from benchmarks.end_to_end import machine, write_film
from benchmarks.load.pacs import inbox
from benchmarks.load.rounds import Runs
from benchmarks.load.sender import Order
from benchmarks.load.sender_process import Sending, sender
from benchmarks.load.tables import markdown
from benchmarks.pixels import TRANSFER_SYNTAXES, in_transfer_syntaxes
from benchmarks.profiling.record import HEADINGS, Document, calibrate, summarize, table, warnings
from benchmarks.profiling.stacks import Sampler, block_in_threads
from benchmarks.profiling.stages import CallCount, Costs, Counters, Recorder, recording
from cxr_node.child_process import MALLOC_ENVIRONMENT
from cxr_node.db.states import Stage
from cxr_node.faults import scratch
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader

DEFAULT_RESULTS = ("report", "text", "picture")
_ENLARGED = 6
_STACK_FILMS = 5
_FILES_MB = 768
_ENVIRONMENT = {**MALLOC_ENVIRONMENT, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A node and its sender, which send and process one film after the other."""

    node: InProcessNode
    sending: Sending
    path: Path
    runs: Runs
    others: frozenset[int]
    """Sender and PACS."""

    def film(self, recorder: Recorder) -> None:
        """Send a film, read it, compose its results and deliver them; raise RuntimeError if a stage does not."""
        order = Order(port=self.node.port, path=str(self.path), run=self.runs.number(), films=1)
        with recorder.during("receive"):
            answer = self.sending.send(order)
        if len(answer.stored) != 1:
            raise RuntimeError("the film was not stored")
        for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER):
            with recorder.during(stage.value):
                turns = sum(1 for _ in iter(lambda stage=stage: self.node.turn(stage), False))  # type: ignore[misc]  # bound for this turn
            if not turns:
                raise RuntimeError(f"nothing to {stage}")
        if self.node.failed():
            raise RuntimeError("a job failed")

    def costs(self, calls: CallCount | None = None) -> Costs:
        """Return the costs of a film."""
        children = [child.pid for child in psutil.Process().children(recursive=True) if child.pid not in self.others]
        recorder = Recorder(Counters(children, calls))
        with recording(recorder):
            self.film(recorder)
        return recorder.costs

    def stacks(self, films: int) -> Sampler:
        """Return the stacks of films."""
        sampler = Sampler()
        with sampler.sampling():
            for _ in range(films):
                self.film(Recorder(Counters()))
        return sampler


@contextmanager
def open_way(folder: Path, *, film: str, engine: str, results: Sequence[str]) -> Iterator[tuple[Way, str]]:
    """Start node, sender and PACS; yield them, and the engine that the network runs on."""
    with ExitStack() as stack:
        pacs = stack.enter_context(inbox(folder / "pacs"))
        place = scratch.create_node(
            folder / "node",
            destinations={"pacs": scratch.to_pacs(pacs.port, results=list(results))},
            sections={"read": {"engine": engine}},
        )
        sending = stack.enter_context(sender())
        others = frozenset(child.pid for child in psutil.Process().children(recursive=True))
        path = write_film(folder, enlarged=_ENLARGED)
        path.write_bytes(in_transfer_syntaxes(pydicom.dcmread(io.BytesIO(path.read_bytes())), [film])[film])
        place.settings.node.data_folder.mkdir(parents=True, exist_ok=True)  # of the choice of the engine
        with Process.open(place.settings) as process:
            reader = open_reader(process)
        node = stack.enter_context(wired_node(place.settings, network=lambda: reader))
        way = Way(node=node, sending=sending, path=path, runs=Runs(), others=others)
        _take_pages(folder)
        for _ in range(2):  # modules, caches, the decoding process
            way.film(Recorder(Counters()))
        gc.collect()
        gc.freeze()
        yield way, reader.identity.preparation


def _take_pages(folder: Path) -> None:
    """Use the memory of files once, so that a virtual machine has it; the files of films then get it again."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FILES_MB):
            file.write(bytes(1 << 20))


def measure(way: Way, rounds: int) -> tuple[list[Costs], list[float], Costs, Costs]:
    """Return the costs and the seconds of the calibration loop, by round, and the films of calls and peaks."""
    costs, loops_s = [], []
    for _ in range(rounds):
        started = time.process_time()
        calibrate()
        loops_s.append(time.process_time() - started)
        costs.append(way.costs())
    with CallCount() as calls:
        counted = way.costs(calls)
    tracemalloc.start()
    traced = way.costs()
    tracemalloc.stop()
    return costs, loops_s, counted, traced


def main() -> None:
    """Measure, print the table, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--film", choices=TRANSFER_SYNTAXES, default=TRANSFER_SYNTAXES[0])
    parser.add_argument("--engine", default="auto", help="of the network, as in read.engine")
    parser.add_argument("--results", nargs="+", default=list(DEFAULT_RESULTS))
    parser.add_argument("--json", type=Path, help="file of the costs")
    parser.add_argument("--stacks", type=Path, help="file of folded stacks")
    parser.add_argument("--compare", type=Path, help="earlier file of the costs")
    options = parser.parse_args()
    if not _ENVIRONMENT.items() <= os.environ.items():  # as the pool's processes are started
        os.execve(  # noqa: S606  # this program again
            sys.executable, [sys.executable, "-m", "benchmarks.cost", *sys.argv[1:]], {**os.environ, **_ENVIRONMENT}
        )
    block_in_threads()
    with (
        tempfile.TemporaryDirectory(prefix="cxr-cost-") as folder,
        open_way(Path(folder), film=options.film, engine=options.engine, results=options.results) as (way, engine),
    ):
        costs, loops_s, counted, traced = measure(way, options.rounds)
        document = Document(
            machine=machine(),
            at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            load=round(os.getloadavg()[0], 2),
            film=options.film,
            film_mb=round(way.path.stat().st_size / 1e6, 2),
            engine=engine,
            rounds=options.rounds,
            calibration_ms=round(sorted(loops_s)[len(loops_s) // 2] * 1000, 3),
            stages=tuple(summarize(costs, loops_s, counted, traced)),
        )
        if options.stacks is not None:
            options.stacks.write_text("\n".join(way.stacks(_STACK_FILMS).lines()) + "\n", encoding="utf-8")
    report(document, options)


def report(document: Document, options: argparse.Namespace) -> None:
    """Print the table and warnings, and write the file."""
    print(f"{document.film}, {document.film_mb} MB; {document.machine}; load {document.load}; {document.engine}")
    print(f"calibration loop {document.calibration_ms:.1f} ms")
    for line in markdown(HEADINGS, table(document.stages)):
        print(line)
    if options.compare is not None:
        before = Document.from_json(json.loads(options.compare.read_text(encoding="utf-8")))
        for warning in warnings(document, before):
            print(f"warning: {warning}")
    if options.json is not None:
        options.json.write_text(json.dumps(document.to_json(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
