"""`kill -9` of a whole node while a HIS corrects patients and a modality rejects films, at each known checkpoint.

Each film is of a patient of its own. Of a third of them the HIS updates the name (ADT^A08) or the Patient ID (ADT^A40),
a third is rejected by a note; both send again until the node accepts. The archive applies rejection notes.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from pydicom.dataset import Dataset, FileDataset

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.films import PatientFilms
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.kills import KillPoints
from cxr_node.faults.load import LoadGenerator, running, send, wait_for
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult, LedgerResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.simulators import his
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.rejection_notes import rejection_note
from cxr_node.simulators.rejections import HidingArchive

GROUP = "kill -9 during corrections and rejections"
_LONGEST_S = 2.5
_IDLE_TIMEOUT_S = 180.0
_STUDY_MAX_WAIT_S = 60.0
"""Concurrent readers on PostgreSQL may leave a second compose job, which ends after it."""
_TIMEOUT_S = 10.0
_RETRY_S = 0.02
_LONGEST_PAUSE_S = 0.3
"""Before the next film: some corrections come before the first report, some after it."""
_NAME = "Corrected"
PatientsByStudy = dict[str, list[tuple[str, str]]]
"""Patient ID and family name of each report, by Study Instance UID."""
_TITLES = (RejectionTitle.QUALITY, RejectionTitle.SAFETY, RejectionTitle.WORKLIST)


@dataclass(slots=True, kw_only=True)
class _Corrections:
    """Corrects or rejects each film that got Success, while the node may die at any moment.

    `hl7_port` is that of the HL7 entrance. `patients` has the Patient ID and the family name that the results of each
    study must state, `rejected` the studies without results.
    """

    load: LoadGenerator
    films: Mapping[str, FileDataset]
    rng: Random
    hl7_port: int
    patients: dict[str, tuple[str, str]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    sent: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def is_complete(self) -> bool:
        """Whether every film was dealt with."""
        return self.load.stopping.is_set() and len(self.patients) == len(self.load.stored)

    def run(self) -> None:
        """Go on until `stopping` is set."""
        while not self.stopping.is_set():
            waiting = [study for study in list(self.load.stored) if study not in self.patients]
            if not waiting:
                self.stopping.wait(_RETRY_S)
                continue
            self.stopping.wait(self.rng.uniform(0, _LONGEST_PAUSE_S))
            self._correct(waiting[0], self.films[waiting[0]])

    def _correct(self, study: str, film: Dataset) -> None:
        number = len(self.patients)
        patient_id, family = str(film.PatientID), str(film.PatientName.family_name)
        expected = (patient_id, family)
        match number % 6:
            case 0 | 3:
                note = rejection_note(_TITLES[number % len(_TITLES)], film)
                self._repeat(lambda: self.load.port != 0 and send(note, self.load.port) == 0)
                self.rejected.add(study)
            case 1:
                expected = (patient_id, _NAME)
                self._update(his.adt("A08", patient_id, name=(_NAME,), control_id=f"C{number}", issuer=""))
            case 4:
                expected = (f"OTHER{number}", family)
                self._update(
                    his.adt("A40", expected[0], name=(family,), prior_id=patient_id, control_id=f"C{number}", issuer="")
                )
        self.patients[study] = expected

    def _update(self, message: bytes) -> None:
        self._repeat(lambda: his.send(message, self.hl7_port, timeout_s=_TIMEOUT_S) == "AA")

    def _repeat(self, is_accepted: Callable[[], bool]) -> None:
        while not self.stopping.is_set() and not is_accepted():
            self.stopping.wait(_RETRY_S)
        self.sent += not self.stopping.is_set()


@contextmanager
def _correcting(corrections: _Corrections) -> Iterator[None]:
    thread = threading.Thread(target=corrections.run, name="corrections", daemon=True)
    thread.start()
    try:
        yield
    finally:
        corrections.stopping.set()
        thread.join(3 * _TIMEOUT_S)


def run(context: FaultContext) -> GroupResult:
    """Kill a node repeatedly, let the last one finish, and hold what the archive shows against what was sent."""
    kills, kill_points, group = (
        context.amounts.correction_kills,
        KillPoints(rng=context.rng(GROUP)),
        GroupRun(context, GROUP),
    )
    films, archive, port = PatientFilms(context.seed), HidingArchive(), scratch.free_port()
    sections: dict[str, dict[str, object]] = {
        "adt": {"enabled": True, "port": port, "addresses": ["127.0.0.1"]},
        "compose": {"study_max_wait_s": _STUDY_MAX_WAIT_S},
    }
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(hiding=archive))
        destinations = {"pacs": scratch.to_pacs(pacs.port)}
        place = stack.enter_context(context.node("corrections", destinations=destinations, sections=sections))
        load = LoadGenerator(films=films, stored=group.promised)
        corrections = _Corrections(load=load, films=films.by_study, rng=context.rng("HIS"), hl7_port=port)
        load.reported_count = lambda: len(corrections.patients)
        stack.enter_context(running(load))
        stack.enter_context(_correcting(corrections))
        for number in range(kills):
            context.on_progress("kills during corrections", number, kills)
            fault = kill_points.next_fault() if number else None
            with node_process(NodePlan(place=place, faults=(fault,) if fault else ())) as one:
                load.port = one.port
                longest = _LONGEST_S if fault is not None or not number else kill_points.rng.uniform(0, _LONGEST_S)
                is_met = one.wait(longest)
                load.port = 0
                one.kill()
            kill_points.add(one.steps)
            kill_points.count(fault, is_met=is_met)
        group.problems += _finish(place, corrections, archive)
        ledger, problems = _check(place, corrections, archive)
    notes = (
        f"{len(kill_points.steps)} checkpoints known, kills at {len(kill_points.kills)} of them",
        f"{corrections.sent} messages and notes accepted, {len(corrections.rejected)} films rejected",
    )
    return group.result(ledger, faults=kills, notes=notes, problems=(*problems, *_changed(pacs)))


def _changed(pacs: SimulatedPacs) -> Iterator[str]:
    return (f"{uid} was sent again with other bytes" for uid in pacs.changed)


def _finish(place: ScratchNode, corrections: _Corrections, archive: HidingArchive) -> tuple[str, ...]:
    """Let a node without faults finish all jobs; return problems."""
    load = corrections.load
    with node_process(NodePlan(place=place)) as last:
        load.port = last.port
        load.stopping.set()

        def is_done() -> bool:
            last.read_messages(0.0)
            if last.has_ended:
                return True
            shown = _shown(archive)
            return (
                corrections.is_complete
                and _expected(corrections, shown) == shown
                and ledger_check.is_idle(place.settings)
            )

        is_idle = wait_for(is_done, _IDLE_TIMEOUT_S)
        status = last.stop()
    problems: tuple[str, ...] = () if is_idle else (ledger_check.not_idle(place.settings, _IDLE_TIMEOUT_S),)
    return problems if status == 0 else (*problems, f"the last node ended with status {status}")


def _expected(corrections: _Corrections, shown: PatientsByStudy) -> PatientsByStudy:
    """Return the patients of the reports that a person must see, by Study Instance UID.

    The last film may be stored though its Success was lost, and is not sent again: its report may be shown.
    """
    patients = {study: patient for study, patient in corrections.patients.items() if study not in corrections.rejected}
    for study in shown.keys() - corrections.patients.keys():
        film = corrections.films[study]
        patients[study] = (str(film.PatientID), str(film.PatientName.family_name))
    return {study: [patient] for study, patient in patients.items()}


def _shown(archive: HidingArchive) -> PatientsByStudy:
    """Return the patients of the reports that a person sees, by Study Instance UID."""
    shown: PatientsByStudy = {}
    for report in archive.visible():
        patient = (str(report.PatientID), str(report.PatientName.family_name))
        shown.setdefault(str(report.StudyInstanceUID), []).append(patient)
    return shown


def _check(
    place: ScratchNode, corrections: _Corrections, archive: HidingArchive
) -> tuple[LedgerResult, tuple[str, ...]]:
    """Return the check of the ledger with the reports that are shown, and where the archive shows another patient."""
    shown = _shown(archive)
    expected = _expected(corrections, shown)
    reports: dict[str, dict[str, str]] = {study: {} for study in expected}
    for report in archive.visible():
        uid = str(report.SOPInstanceUID)
        reports.setdefault(str(report.StudyInstanceUID), {})[uid] = digest_of(uid.encode())
    promised = {study: uid for study, uid in corrections.load.stored.items() if study in expected}
    ledger = ledger_check.check(place.settings, promised, reports, allow_extra_films=True)
    return ledger, wrong_reports(shown, expected)


def wrong_reports(shown: PatientsByStudy, expected: PatientsByStudy) -> tuple[str, ...]:
    """Return a sentence for each study of which the archive shows a report that it must not show."""
    rejected = [f"study {study} has a report, and its film is rejected" for study in shown if study not in expected]
    others = [study for study, patients in shown.items() if not set(patients) <= set(expected.get(study, patients))]
    return (*rejected, *(f"study {study} has a report of another patient" for study in others))
