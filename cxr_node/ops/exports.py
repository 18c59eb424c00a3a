"""De-identified export: what it would take, and the export itself, study by study."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from cxr_node.audit import events
from cxr_node.audit.subject import StudySubject
from cxr_node.composing.context import ComposeContext
from cxr_node.db.database import Connection
from cxr_node.db.row_ids import RowIds
from cxr_node.domain.errors import ProcessDied
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.domain.result_names import RESULT_NAMES
from cxr_node.export.film import LeftOut
from cxr_node.export.options import Option
from cxr_node.export.pseudonyms import Pseudonyms
from cxr_node.export.study import StudyExport, StudyRequest, export_study
from cxr_node.ops import operator_log
from cxr_node.ops.export_folder import ExportFolder
from cxr_node.ops.export_target import CannotExport, ExportTarget, destination_of
from cxr_node.ops.formatting import counted
from cxr_node.process_pool.executor import Executor
from cxr_node.queries.exports import SelectedFilm, Standing, composed_at, selected_films
from cxr_node.records import exports, films, readings
from cxr_node.records.exports import ExportCounts
from cxr_node.wiring import audit
from cxr_node.wiring.compose import compose_executor
from cxr_node.wiring.process import Process

DEFAULT_RESULTS = ("report", "picture", "presentation-state", "key-images", "segmentation", "pdf")
_REASONS = {
    Standing.COPY: LeftOut.COPY,
    Standing.PHANTOM: LeftOut.PHANTOM,
    Standing.REJECTED: LeftOut.REJECTED,
    Standing.REMOVED: LeftOut.REMOVED,
    Standing.DISMISSED: LeftOut.DISMISSED,
    Standing.NOT_READ: LeftOut.NOT_READ,
    Standing.BURNED_IN: LeftOut.BURNED_IN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConditions:
    """How an export de-identifies, and which results it composes. `secret` is that of the pseudonyms."""

    secret: str
    options: frozenset[Option] = frozenset()
    results: tuple[str, ...] = DEFAULT_RESULTS

    def __post_init__(self) -> None:
        unknown = [name for name in self.results if name not in RESULT_NAMES]
        if unknown:
            raise CannotExport(f"{unknown[0]!r} is no result; there are {', '.join(RESULT_NAMES)}")

    @property
    def words(self) -> str:
        """Options and results, in words."""
        options = f"retains {', '.join(sorted(self.options))}" if self.options else "basic profile"
        return f"{options}; {', '.join(self.results) or 'no results'}"

    def as_json(self) -> dict[str, object]:
        """Return the conditions without the secret: two exports of equal ones may be in one folder."""
        return {
            "profile": "DICOM PS3.15 annex E, basic profile",
            "options": sorted(self.options),
            "results": sorted(self.results),
            "secret_fingerprint": Pseudonyms(secret=self.secret).fingerprint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What an export would take: films by study, and numbers of films that it leaves out by reason.

    Reasons that only a film's file shows are not among them.
    """

    film_ids: Mapping[int, frozenset[int]]
    left_out: Mapping[LeftOut, int]

    @property
    def films(self) -> int:
        """Number of films."""
        return sum(map(len, self.film_ids.values()))

    @property
    def sentence(self) -> str:
        """Films and studies, in words."""
        return f"{counted(self.films, 'film')} of {counted(len(self.film_ids), 'study')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """What an export did: numbers of studies, of objects by kind, of studies that were there, of films left out."""

    studies: int
    objects: Mapping[str, int]
    present: int
    left_out: Mapping[LeftOut, int]


def plan(connection: Connection, *, film_ids: RowIds | None, study_ids: RowIds | None) -> ExportPlan:
    """Return what an export of films by number, by study, or both would take."""
    selected = selected_films(connection, film_ids=film_ids, study_ids=study_ids)
    exported = [film for film in selected if film.standing is Standing.EXPORTED]
    left_out = Counter(_REASONS[film.standing] for film in selected if film.standing is not Standing.EXPORTED)
    return ExportPlan(film_ids=dict(_by_study(exported)), left_out=left_out)


def _by_study(selected: Sequence[SelectedFilm]) -> Iterator[tuple[int, frozenset[int]]]:
    for study_id, of_study in groupby(selected, key=lambda film: film.study_id):
        yield study_id, frozenset(film.film_id for film in of_study)


@contextmanager
def folder_target(folder: Path, conditions: ExportConditions) -> Iterator[ExportTarget]:
    """Open a folder as target; raise CannotExport if it cannot be one."""
    with ExportFolder.opened(folder, conditions.as_json()) as target:
        yield target


@contextmanager
def destination_target(process: Process, name: str) -> Iterator[ExportTarget]:
    """Open a destination of the settings as target; raise CannotExport if it cannot be one."""
    with audit.of_command(process.settings, process.clock) as trail:
        yield destination_of(process, trail, name)


def export(
    process: Process,
    planned: ExportPlan,
    conditions: ExportConditions,
    target: ExportTarget,
    *,
    by: str = "",
    selection: str = "",
) -> ExportOutcome:
    """Export the films of a plan with results composed anew, study by study, each recorded before it can be seen.

    The list of exports has who began it, which films were selected (`selection`, in words), and what was done.

    Raises
    ------
    CannotExport
        If the target takes no more. What was exported stays; the same call goes on in a folder.
    """
    operator_log.record(process, f"de-identified export of {planned.sentence} begins", subject="export", by=by)
    run = _Run(process, conditions, target)
    with process.database.write() as transaction:
        export_id = exports.begin(
            transaction,
            by=by or operator_log.operator_name(),
            target=target.name,
            selection=selection,
            conditions=conditions.words,
            films=planned.films,
            now=process.clock(),
        )
    failure = "an error, or the end of its process"
    try:
        with compose_executor(process) as executor:
            for study_id, film_ids in planned.film_ids.items():
                run.export(executor, study_id, film_ids)
                _note(process, export_id, run.outcome(planned.left_out))
            target.finish()
        failure = ""
    except CannotExport as error:
        failure = str(error)
        raise
    finally:
        with process.database.write() as transaction:
            exports.end(transaction, export_id, failure=failure, now=process.clock())
    return run.outcome(planned.left_out)


def _note(process: Process, export_id: int, outcome: ExportOutcome) -> None:
    counts = ExportCounts(
        studies=outcome.studies,
        present=outcome.present,
        objects=outcome.objects,
        left_out={str(reason): number for reason, number in outcome.left_out.items()},
    )
    with process.database.write() as transaction:
        exports.note(transaction, export_id, counts)


class _Run:
    """An export on its way, with what it did."""

    def __init__(self, process: Process, conditions: ExportConditions, target: ExportTarget) -> None:
        self._process, self._conditions, self._target = process, conditions, target
        self._pseudonyms = Pseudonyms(secret=conditions.secret)
        self._objects: Counter[str] = Counter()
        self._left_out: Counter[LeftOut] = Counter()
        self._studies = self._present = 0

    def outcome(self, left_out_before: Mapping[LeftOut, int]) -> ExportOutcome:
        """Return what was done, with what the plan left out."""
        return ExportOutcome(
            studies=self._studies,
            objects=dict(self._objects),
            present=self._present,
            left_out={**(Counter(left_out_before) + self._left_out)},
        )

    def export(self, executor: Executor[ComposeContext], study_id: int, film_ids: frozenset[int]) -> None:
        """Export the films of a study, unless an earlier run has."""
        request = self._request(study_id, film_ids)
        if not request.films:
            self._left_out[LeftOut.REMOVED] += len(film_ids)
            return
        original = request.films[0][0].identity.study_instance_uid
        study_instance_uid = self._pseudonyms.uid(original)
        if self._target.has(study_instance_uid):
            self._present += 1
            return
        try:
            (study,) = executor.map(export_study, [request])
        except ProcessDied:
            self._left_out[LeftOut.PROCESS_DIED] += len(request.films)
            return
        self._left_out.update(study.left_out)
        if not study.objects:
            return
        record = partial(self._record, study, original)
        self._target.put(study_instance_uid, study, before=record)
        self._studies += 1
        self._objects.update(one.kind for one in study.objects)

    def _request(self, study_id: int, film_ids: frozenset[int]) -> StudyRequest:
        with self._process.database.read() as connection:
            received = [film for film in films.of_study(connection, study_id) if film.film_id in film_ids]
            with_readings = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
            newest = composed_at(connection, study_id)
        last_received = max((film.received_at for film in received), default=self._process.clock())
        return StudyRequest(
            films=[
                (film, reading) for film, reading in with_readings if reading is not None and not _is_dismissed(reading)
            ],
            kinds=self._conditions.results,
            options=self._conditions.options,
            secret=self._conditions.secret,
            composed_at=newest or last_received,
        )

    def _record(self, study: StudyExport, study_instance_uid: Uid) -> None:
        """Write to the audit trail, and flush it, which films of whom leave."""
        subject = StudySubject(
            study_instance_uid=study_instance_uid,
            patient_id=study.patient_id,
            accession_number=study.accession_number,
            instances=_instances(study.films),
        )
        with audit.of_command(self._process.settings, self._process.clock) as trail:
            trail.record(events.exported(subject, by=trail.application, uri=self._target.uri, at=trail.clock()))


def _is_dismissed(reading: Reading) -> bool:
    """Whether a person has set the film aside since the plan was made."""
    return reading.not_analysed is Reason.DISMISSED


def _instances(exported: Sequence[Film]) -> list[tuple[Uid, list[Uid]]]:
    by_class: dict[Uid, list[Uid]] = {}
    for film in exported:
        by_class.setdefault(film.identity.sop_class_uid, []).append(film.identity.sop_instance_uid)
    return list(by_class.items())
