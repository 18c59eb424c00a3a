"""Cost of what the node speaks beside C-STORE: a delivery of each kind, a step of a worklist, a prior film, an export.

    python -m benchmarks.protocols [--rounds 20]

Peers are the simulated ones of this project, in this process, whose time is included. Each row has the median of the
rounds and the ratio to the row that it is held against, measured in turns with it: a report to each kind of destination
against C-STORE, a step of a worklist against its requests alone, a prior film (search and C-GET) against the C-STORE of
the same film, a film of an export against receiving, reading, composing and delivering it, without a network.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.deliver.cstore import CStore
from cxr_node.deliver.destination import Destination, DestinationKind
from cxr_node.deliver.fhir import Fhir
from cxr_node.deliver.hl7 import Hl7
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.stow import Stow
from cxr_node.domain.codes import dcm
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import AeTitle, Uid, digest_of
from cxr_node.domain.prior_search import PriorQuery
from cxr_node.domain.procedure_step import FinalState, StepProgress
from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.films import PatientFilms
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.faults.suppressed_logs import suppressed_logs
from cxr_node.ops import exports
from cxr_node.priors.dicom import DicomSource
from cxr_node.report.kinds import tid1500
from cxr_node.simulators import modality
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.fhir import SimulatedFhir
from cxr_node.simulators.node import wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.query_archive import SimulatedArchive
from cxr_node.simulators.ris import SimulatedRis
from cxr_node.simulators.worklist import SimulatedWorklist
from cxr_node.simulators.worklist_steps import step_uid
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.killed_performer import PerformingNode, deliver, reference
from tests.support.queue import NOON
from tests.support.worklists import worklist_at
from tests.unit.report.studies import everything, request

_TITLE = AeTitle("CXRNODE")
_HOST = "127.0.0.1"
_STEPS = 20
"""Steps that are claimed and completed together."""
_FILMS = 4
"""Films of an export."""
_ROWS, _COLUMNS = 1000, 1000
"""Size of the prior film: 2 MB."""
Times = dict[str, list[tuple[float, float]]]
"""Elapsed and processor time in ms of each round, by the name of the row."""


@contextmanager
def measured(times: Times, name: str, *, units: int = 1) -> Iterator[None]:
    """Add the time of the block, by unit of work."""
    elapsed, processor = time.perf_counter(), time.process_time()
    yield
    elapsed, processor = time.perf_counter() - elapsed, time.process_time() - processor
    times[name].append((1000 * elapsed / units, 1000 * processor / units))


def deliveries(rounds: int) -> Times:
    """Deliver a new report in each round to a destination of each kind."""
    times: Times = defaultdict(list)
    with SimulatedPacs() as pacs, SimulatedDicomWeb() as web, SimulatedRis() as ris, SimulatedFhir() as fhir:
        rows: dict[str, DestinationKind] = {
            "report by C-STORE": CStore(name="pacs", host=_HOST, port=pacs.port, ae_title="PACS"),
            "report by STOW-RS": Stow(name="web", url=web.url),
            "report by HL7": Hl7(name="ris", host=_HOST, port=ris.port),
            "report by FHIR": Fhir(name="fhir", url=fhir.url, patient="identifier"),
        }
        opened: dict[str, Destination] = {name: row.open(calling_ae_title=_TITLE) for name, row in rows.items()}
        for number in range(rounds + 1):
            (report,) = tid1500.REPORT.compose(request([everything(films.dx(seed=number))]))
            for name, destination in opened.items():
                with measured(times if number else defaultdict(list), name):  # the first round warms up
                    destination.send(report.content)
    return times


def steps(rounds: int, folder: Path) -> Times:
    """Claim and complete steps, by the node's performer with its rows, and by the requests alone."""
    times: Times = defaultdict(list)
    url = f"sqlite:///{folder / 'steps.db'}"
    database = Database(url)
    migrate.upgrade(database)
    with SimulatedWorklist() as manager:
        node = PerformingNode(url=url, worklist=worklist_at(manager.port), maximum_steps=_STEPS)
        for number in range(rounds):
            numbers = range(number * _STEPS, (number + 1) * _STEPS)
            manager.steps.clear()
            for one in numbers:
                manager.add(step_uid(one), [reference(one)])
            with database.write() as transaction:
                for one in numbers:
                    deliver(transaction, reference(one))
            with measured(times, "step of a worklist", units=_STEPS):
                node.run()
            _check(len(manager.steps), sum(state == "COMPLETED" for state in manager.states().values()))
            manager.steps.clear()
            for one in numbers:
                manager.add(step_uid(one), [reference(one)])
            with measured(times, "requests of a step alone", units=_STEPS):
                _requests(manager.port, [step_uid(one) for one in numbers])
    database.close()
    return times


def _requests(port: int, uids: list[Uid]) -> None:
    progress = StepProgress(percent=100, station=dcm("A", "A"), workitem=dcm("110003", "CAD"), started_at=NOON)
    final = FinalState(progress=progress, ended_at=NOON, outputs=())
    with worklist_at(port).session() as session:
        session.find(len(uids))
        for uid in uids:
            session.claim(uid, uid)
            session.details(uid)
            session.update(uid, uid, progress)
            session.details(uid)
            session.finish(uid, uid, final)
            session.end(uid, uid, is_completed=True)


def prior_films(rounds: int) -> Times:
    """Search and fetch a prior film, and send the same film by C-STORE."""
    times: Times = defaultdict(list)
    film = films.dx(rows=_ROWS, columns=_COLUMNS, changes={"StudyDate": "20230302", "AcquisitionDate": "20230302"})
    query = PriorQuery(
        patient_id=str(film.PatientID),
        issuer="",
        patient_key=digest_of(b""),
        study_instance_uid=Uid("1.2.3"),
        view=View.AP,
        date="20260301",
        time="",
        earliest="20210301",
    )
    with SimulatedArchive() as archive, SimulatedPacs() as pacs:
        archive.films = [film]
        peer = Peer(host=_HOST, port=archive.port, called_ae_title=AeTitle("ARCHIVE"), calling_ae_title=_TITLE)
        source = DicomSource(name="archive", peer=peer)
        send = partial(modality.send, [film], host=_HOST, called_ae_title=AeTitle("PACS"), timeout_s=30.0)
        for _ in range(rounds):
            with measured(times, "prior film, 2 MB"):
                until = time.monotonic() + 30
                (candidate,) = source.candidates(query, until=until)
                source.fetch(candidate, until=until)
            with measured(times, "the same film by C-STORE"):
                (result,) = send(port=pacs.port, calling_ae_title=_TITLE)
            _check(0, result.status)
    return times


def export(rounds: int, folder: Path) -> Times:
    """Receive, read, compose and deliver films with a network that computes nothing, and export them."""
    times: Times = defaultdict(list)
    conditions = exports.ExportConditions(secret="0" * 32, results=("report", "picture"))
    for number in range(rounds):
        context = FaultContext(folder=folder / f"export-{number}", kind="sqlite", films=PatientFilms(1))
        group = GroupRun(context, "export")
        with ExitStack() as stack:
            pacs = stack.enter_context(SimulatedPacs())
            place = stack.enter_context(
                context.node("node", destinations={"pacs": scratch.to_pacs(pacs.port, results=["report", "picture"])})
            )
            node = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
            with measured(times, "way of a film to the PACS", units=_FILMS):
                for _ in range(_FILMS):
                    group.store(node.port)
                node.pass_time(timedelta(seconds=1))
            process = stack.enter_context(Process.open(place.settings, is_audited=False))
            with process.database.read() as connection:
                planned = exports.plan(connection, film_ids=None, study_ids=None)
            exported = exports.folder_target(folder / f"exported-{number}", conditions)
            with measured(times, "film of an export", units=_FILMS), exported as target:
                outcome = exports.export(process, planned, conditions, target)
            _check(_FILMS, outcome.studies)
    return times


def _check(expected: int, actual: int | None) -> None:
    if actual != expected:
        raise RuntimeError(f"{actual} where {expected} were expected")


def table(times: Times, base: str) -> Iterator[str]:
    """Yield a line for each row: medians of the rounds, and of the ratio of each round to `base`."""
    for name, rounds in times.items():
        elapsed, processor = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = [one[1] / other[1] for one, other in zip(rounds, times[base], strict=True)]
        low, high = min(ratios), max(ratios)
        yield f"| {name} | {elapsed:.3g} | {processor:.3g} | {statistics.median(ratios):.2f} ({low:.2f}-{high:.2f}) |"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print("| what | elapsed, ms | processor time, ms | ratio of processor time (least-most) |\n|---|---|---|---|")
    with suppressed_logs(), tempfile.TemporaryDirectory(prefix="cxr-protocols-") as name:
        parts: list[tuple[Callable[[], Times], str]] = [
            (partial(deliveries, rounds), "report by C-STORE"),
            (partial(steps, max(2, rounds // 4), Path(name)), "requests of a step alone"),
            (partial(prior_films, rounds), "the same film by C-STORE"),
            (partial(export, max(2, rounds // 4), Path(name)), "way of a film to the PACS"),
        ]
        for measure, base in parts:
            print("\n".join(table(measure(), base)), flush=True)


if __name__ == "__main__":
    main()
