"""Faults of an archive that is searched for prior films: away, silent, slow, lying; no report waits for it."""

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta

from pydicom.dataset import FileDataset

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.films import PatientFilms
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.queries import prior_searches
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.query_archive import Mode, SimulatedArchive

GROUP = "archive of prior films away, silent, slow, lying"
_TIMEOUT_S = 2.0
_REPORT, _SEARCHES, _RECOVERY = timedelta(minutes=1), timedelta(minutes=11), timedelta(minutes=59)
"""Time for the report, for two searches during the fault, and until the search has ended."""
_FIRST_FILM, _FIRST_PRIOR = 45_000, 45_500
_READ, _NONE = "read", "none"


def run(context: FaultContext) -> GroupResult:
    """Send a film during each fault: its report is in time; its prior film comes after it, and starts no study."""
    faults = [mode for mode in Mode if mode is not Mode.RIGHT]
    if context.amounts.aborts < len(faults):
        faults = faults[::3]
    films = PatientFilms(context.seed)
    group = GroupRun(context, GROUP, first_film=_FIRST_FILM, films=films)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        archive = stack.enter_context(SimulatedArchive(port=scratch.free_port()))
        source = {"kind": "dicom", "name": "archive", "host": "127.0.0.1", "ae_title": "ARCHIVE"}
        sources = [{**source, "port": archive.port, "timeout_s": _TIMEOUT_S}]
        sections = {"priors": {"compare": True, "timeout_s": 2 * _TIMEOUT_S, "sources": sources}}
        place = stack.enter_context(
            context.node("priors", destinations={"pacs": scratch.to_pacs(pacs.port)}, sections=sections)
        )
        node: InProcessNode = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        expected: tuple[str, ...] = ()
        for number, fault in enumerate((None, *faults)):
            label = str(fault or "away")
            context.on_progress(f"priors {label}", number, len(faults) + 1)
            archive.films = [_prior(films, number)]
            if fault is None:
                archive.stop()
            else:
                archive.mode = fault
            group.store(node.port)
            node.pass_time(_REPORT)
            missing = group.promised.keys() - pacs.by_study.keys()
            group.problems += [f"{label}: no report within a minute"] if missing else []
            node.pass_time(_SEARCHES)
            if fault is None:
                archive.start()
            archive.mode = Mode.RIGHT
            node.pass_time(_RECOVERY)
            with node.database.read() as connection:
                states = prior_searches.count_by_state(connection, since=node.clock.now - timedelta(days=9))
            # A film of another patient under the UIDs of the prior one is refused for good.
            expected = (*expected, _NONE if fault is Mode.SENDS_ANOTHER else _READ)
            if states != Counter(expected):
                group.problems.append(f"{label}: searches are {states}")
        # A report that is composed anew with the prior film has a UID of its own.
        newest = {study: dict([list(reports.items())[-1]]) for study, reports in pacs.by_study.items()}
        ledger = ledger_check.check(place.settings, group.promised, newest)
    strange = pacs.by_study.keys() - group.promised.keys()
    problems = [f"study {study} has a report, and its film was fetched" for study in strange]
    return group.result(ledger, faults=len(faults) + 1, problems=problems)


def _prior(films: PatientFilms, number: int) -> FileDataset:
    """Return a film of the same patient, of three years before."""
    prior = films.make(_FIRST_PRIOR + number)
    prior.PatientID = films.make(_FIRST_FILM + number).PatientID
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        if keyword in prior:
            setattr(prior, keyword, "20230302")
    return prior
