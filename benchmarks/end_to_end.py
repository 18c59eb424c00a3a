"""Latency from the last byte of a film to its report in the PACS, and throughput, on SQLite and PostgreSQL.

    python -m benchmarks.end_to_end                       # the table, about five minutes
    python -m benchmarks.end_to_end --films 200 --databases sqlite --set read.bundle=chest --json measured.json

A whole node runs in its own processes, with default settings except the study window (0 s). A simulated PACS in another
process records the arrival time of each report. Films are phantoms of 15 MB, DX, uncompressed, each with its own
patient, study and UIDs. Loads:

- "idle": one film at a time, each on its own association, after the report of the previous film;
- "2 a second": at that rate, on four associations;
- "all at once": on four associations without pause; films/s from the first byte to the last report.

The run fails unless every film is analysed and every report arrives. The file of --json is the input of
benchmarks/simulate.py: the latency of each film, and each stage's time per job from the node's job events.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import select, text

from benchmarks.load import films, processes, receivers
from benchmarks.load.pacs import Inbox, inbox
from benchmarks.load.rounds import Runs, percentile
from benchmarks.load.sender import Answer, Order
from benchmarks.load.sender_process import Sending, sender
from benchmarks.load.tables import markdown
from cxr_node.db.states import Event, Stage
from cxr_node.db.tables import job, job_event
from cxr_node.faults import ledger_check, postgres_server, scratch
from cxr_node.phantom import dicom
from cxr_node.phantom.film import film
from tests.support import peers, running_node

HEADINGS = ("database", "load", "films", "p50 s", "p99 s", "most s", "films/s", "CPU s/film")
_ROWS, _COLUMNS, _ENLARGED = 512, 416, 6
_ASSOCIATIONS = 4
_PATIENCE_S = 120.0
_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load on a node, and its times."""

    name: str
    films: int
    seconds_each: tuple[float, ...]
    """From the last byte of each film to its report in the PACS."""
    answers_each: tuple[float, ...]
    """From the first byte of each film to Success."""
    seconds: float
    """From the first film's first byte to the last report."""
    cpu_s: float


@dataclass(slots=True, kw_only=True)
class Measured:
    """Document of `--json`: machine, date, and by database the loads and the seconds per job of each stage."""

    machine: str
    cores: int
    at: str
    film_bytes: int
    loads: dict[str, list[Load]] = field(default_factory=dict)
    stages_s: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Of the idle load only, in which films do not queue."""
    connections: int = 0
    """Connections to PostgreSQL of the whole node after its loads."""


def write_film(folder: Path, *, enlarged: int) -> Path:
    """Write a phantom as a modality sends it."""
    phantom = film(seed=21, rows=_ROWS, columns=_COLUMNS)
    large = np.repeat(np.repeat(phantom.p_values, enlarged, 0), enlarged, 1)
    dataset = dicom.dataset(replace(phantom, p_values=large), now=dicom.EXAMPLE_TIME)
    films.as_template(dataset)
    path = folder / "phantom.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


class Bench:
    """A running node, its PACS and a sender."""

    def __init__(self, port: int, pid: int, path: Path, sending: Sending, pacs: Inbox) -> None:
        self._port, self.pid, self._path = port, pid, path
        self._sending, self._pacs = sending, pacs
        self._runs = Runs()

    def idle(self, count: int) -> Load:
        """Send one film at a time, each after the report of the previous one."""
        before = processes.cpu_s(self.pid)
        parts = [self._sent(films=1) for _ in range(count)]
        return Load(
            name="idle",
            films=count,
            seconds_each=tuple(time_s for part in parts for time_s in part.seconds_each),
            answers_each=tuple(time_s for part in parts for time_s in part.answers_each),
            seconds=sum(part.seconds for part in parts),
            cpu_s=processes.cpu_s(self.pid) - before,
        )

    def paced(self, count: int) -> Load:
        """Send two films a second."""
        return replace(self._sent(films=count, every_s=_EVERY_S, senders=_ASSOCIATIONS), name="2 a second")

    def saturated(self, count: int) -> Load:
        """Send the next film of an association at the response to the previous one."""
        return replace(self._sent(films=count, senders=_ASSOCIATIONS), name="all at once")

    def _sent(self, *, films: int, every_s: float = 0.0, senders: int = 1) -> Load:
        before, run = processes.cpu_s(self.pid), self._runs.number()
        order = Order(
            port=self._port, path=str(self._path), run=run, films=films, every_s=every_s, senders=min(senders, films)
        )
        answer = self._sending.send(order)
        if len(answer.stored) != films:
            raise receivers.Unfit(f"{len(answer.stored)} of {films} films were answered with Success")
        came = self._pacs.wait({_study(run, film[0]) for film in answer.stored}, timeout_s=_PATIENCE_S)
        return Load(
            name="",
            films=films,
            seconds_each=tuple(came[_study(run, film[0])] - film[2] for film in answer.stored),
            answers_each=tuple(film[3] - film[1] for film in answer.stored),
            seconds=max(came.values()) - _began(answer),
            cpu_s=processes.cpu_s(self.pid) - before,
        )


def _study(run: int, number: int) -> str:
    return films.uid("1", run=run, number=number)


def _began(answer: Answer) -> float:
    return min(film[1] for film in answer.stored)


@contextmanager
def benches(
    folder: Path, database: str, sets: Sequence[str], *, enlarged: int
) -> Iterator[tuple[Bench, scratch.ScratchNode]]:
    """Run a node on its own database; it has read one film when the block starts."""
    with ExitStack() as stack:
        url = ""
        if database == "postgresql":
            at = stack.enter_context(postgres_server.running(postgres_server.binaries()))
            url = stack.enter_context(scratch.schema(at.url))
        pacs = stack.enter_context(inbox(folder / "pacs"))
        sections: dict[str, dict[str, object]] = {
            "read": {"threads": 0, "processes": "auto"},
            "schedule": {"tick_s": 5.0},
        }
        for name, changes in receivers.sections(sets).items():
            sections.setdefault(name, {}).update(changes)
        place = scratch.create_node(
            folder / "node", database_url=url, destinations={"pacs": scratch.to_pacs(pacs.port)}, sections=sections
        )
        node = stack.enter_context(running_node.running(place.config))
        sending = stack.enter_context(sender())
        bench = Bench(node.port, node.process.pid, write_film(folder, enlarged=enlarged), sending, pacs)
        bench.idle(1)
        yield bench, place


def stages_s(place: scratch.ScratchNode) -> dict[str, list[float]]:
    """Return the seconds from claim to end of each stage's jobs, without the first one, which has cold caches.

    Raises
    ------
    Unfit
        If a film was not analysed.
    """
    # The end of a delivery is committed after the report's arrival.
    peers.until(lambda: ledger_check.is_idle(place.settings), what="the end of every job")
    held: dict[str, list[float]] = {stage: [] for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER)}
    claimed: dict[int, datetime] = {}
    query = (
        select(job.c.id, job.c.stage, job_event.c.event, job_event.c.at)
        .join_from(job_event, job, job_event.c.job_id == job.c.id)
        .where(job_event.c.event.in_([Event.CLAIMED, Event.FINISHED, Event.NOT_ANALYSED]))
        .order_by(job_event.c.id)
    )
    with running_node.opened(place.settings) as database, database.read() as connection:
        for number, stage, event, at in connection.execute(query):
            if event == Event.CLAIMED:
                claimed[number] = at
            elif event == Event.NOT_ANALYSED:
                raise receivers.Unfit("a film was not analysed: its report arrives too early")
            else:
                held[stage].append((at - claimed[number]).total_seconds())
    return {stage: times[1:] for stage, times in held.items()}


def connections(place: scratch.ScratchNode) -> int:
    """Return the number of connections that the node has to PostgreSQL, without this one."""
    with running_node.opened(place.settings) as database, database.read() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(connection.execute(text(query)).scalar_one()) - 1


def machine() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def row(database: str, load: Load) -> tuple[str, ...]:
    """Return a line of the table."""
    return (
        database,
        load.name,
        str(load.films),
        f"{percentile(load.seconds_each, 0.5):.2f}",
        f"{percentile(load.seconds_each, 0.99):.2f}",
        f"{max(load.seconds_each):.2f}",
        f"{load.films / load.seconds:.2f}" if load.name == "all at once" else "",
        f"{load.cpu_s / load.films:.2f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=60, help="per load")
    parser.add_argument("--enlarged", type=int, default=_ENLARGED, help="rows of a film by 512, columns by 416")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="a setting of the node"
    )
    parser.add_argument("--json", type=Path, help="file of the measurements, input of the simulation")
    arguments = parser.parse_args()
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    measured = Measured(machine=machine(), cores=os.cpu_count() or 1, at=at, film_bytes=0)

    def lines() -> Iterator[Sequence[str]]:
        for database in arguments.databases:
            with (
                tempfile.TemporaryDirectory(prefix="cxr-end-") as folder,
                benches(Path(folder), database, arguments.set, enlarged=arguments.enlarged) as (bench, place),
            ):
                measured.film_bytes = (Path(folder) / "phantom.dcm").stat().st_size
                loads = measured.loads.setdefault(database, [])
                loads.append(bench.idle(arguments.films))
                yield row(database, loads[-1])
                measured.stages_s[database] = stages_s(place)
                for work in (bench.paced, bench.saturated):
                    loads.append(work(arguments.films))
                    yield row(database, loads[-1])
                stages_s(place)
                if database == "postgresql":
                    measured.connections = connections(place)

    for line in markdown(HEADINGS, lines()):
        print(line, flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(measured)), encoding="utf-8")


if __name__ == "__main__":
    main()
