"""De-identified export of a study: its films, and results that are composed anew of them.

Results are not edited: the composer makes them of de-identified films, so that what it draws and writes, pictures and
printed pages too, has never had a patient.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import combinations

from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.errors import GiveUp, type_and_place
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Reading
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.export.film import DeidentifiedFilm, LeftOut, NotExported, deidentified_film
from cxr_node.export.header import Policy, policy
from cxr_node.export.marks import add_marks
from cxr_node.export.options import Option
from cxr_node.export.pseudonyms import Pseudonyms
from cxr_node.pixels.parsing import parse
from cxr_node.report.grouping import by_patient
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.report.patient import Patient, contradict, patient_of
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.run import Run
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm

_log = logging.getLogger(__name__)

FILM_KIND = "film"
_UNDATED = datetime(1900, 1, 1, 12, tzinfo=UTC)
_HERE = ("export",)
_SEPARATOR = chr(0x1F)
_STUDY_INSTANCE_UID = 0x0020000D


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRequest:
    """Films of one study with their readings, and what is exported of them.

    `kinds` are names of results, `composed_at` when the study's results were composed.
    """

    films: Sequence[tuple[Film, Reading]]
    kinds: Sequence[str]
    options: frozenset[Option]
    secret: str
    composed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedObject:
    """An object without identifiers; `kind` is `FILM_KIND`, or the name of a result."""

    kind: str
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyExport:
    """Objects of a study, numbers of films and results that are left out by reason, and the films that are in it.

    `pseudonym` is the Patient ID of the objects; `patient_id` and `accession_number` are those of the films, for the
    audit trail.
    """

    objects: tuple[ExportedObject, ...]
    left_out: Mapping[LeftOut, int]
    films: tuple[Film, ...] = ()
    pseudonym: str = ""
    patient_id: str = ""
    accession_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OpenFilm:
    film: Film
    reading: Reading
    dataset: Dataset
    patient: Patient
    patient_id: str
    accession_number: str


def export_study(context: ComposeContext, request: StudyRequest) -> StudyExport:
    """Return the de-identified films and results of a study."""
    left_out: Counter[LeftOut] = Counter()
    opened = list(_opened(context, request, left_out))
    if any(contradict(one.patient, other.patient) for one, other in combinations(opened, 2)):
        left_out[LeftOut.IDENTITY] += len(opened)
        return StudyExport(objects=(), left_out=left_out)
    rules = policy(request.options, Pseudonyms(secret=request.secret))
    patient = _patient(opened)
    films: list[DeidentifiedFilm] = []
    exported: list[_OpenFilm] = []
    for one in opened:
        try:
            films.append(deidentified_film(context, one.dataset, one.reading, rules, patient=patient))
            exported.append(one)
        except NotExported as error:
            left_out[error.reason] += 1
        except Exception as error:  # noqa: BLE001  # one film must not end the export; its message may quote a value
            left_out[_fault(one.film, error)] += 1
    objects = [ExportedObject(kind=FILM_KIND, instance=film.instance) for film in films]
    if films:
        objects += _results(context, request, rules, films, left_out, now=_moved(request, rules, patient))
    return StudyExport(
        objects=tuple(objects),
        left_out=left_out,
        films=tuple(one.film for one in exported),
        pseudonym=rules.pseudonyms.patient_id(patient),
        patient_id=next((one.patient_id for one in exported if one.patient_id), ""),
        accession_number=next((one.accession_number for one in exported if one.accession_number), ""),
    )


def _opened(context: ComposeContext, request: StudyRequest, left_out: Counter[LeftOut]) -> Iterator[_OpenFilm]:
    """Yield the films whose files can be read."""
    for film, reading in request.films:
        try:
            yield _open(context, film, reading)
        except Damaged:
            left_out[LeftOut.DAMAGED] += 1
        except GiveUp:
            left_out[LeftOut.NOT_DECODED] += 1
        except Exception as error:  # noqa: BLE001  # as in `export_study`
            left_out[_fault(film, error)] += 1


def _open(context: ComposeContext, film: Film, reading: Reading) -> _OpenFilm:
    sets = context.character_sets
    dataset = parse(read_intact(context.archive, film), limits=context.limits)
    header = safe_header(_beginning(dataset), character_sets=sets.get(film.sender.calling_ae_title, sets.get("")))
    return _OpenFilm(
        film=film,
        reading=reading,
        dataset=dataset,
        patient=patient_of(header),
        patient_id=str(header.get("PatientID") or ""),
        accession_number=str(header.get("AccessionNumber") or ""),
    )


def _fault(film: Film, error: Exception) -> LeftOut:
    _log.error("film %d is not exported: %s", film.film_id, type_and_place(error))
    return LeftOut.FAULT


def _beginning(dataset: Dataset) -> Dataset:
    """Return the elements up to those that identify patient and study."""
    tags = [tag for tag in dataset.keys() if tag <= _STUDY_INSTANCE_UID]  # noqa: SIM118  # a data set iterates elements
    return Dataset({tag: dataset.get_item(tag, keep_deferred=True) for tag in tags})


def _patient(opened: Sequence[_OpenFilm]) -> str:
    """Return the text that identifies the patient of a study: issuer and Patient ID, which one of its films has.

    Without any Patient ID the study stands for its patient: names and birth dates are no identifiers.
    """
    identified = [one.patient for one in opened if one.patient.patient_id]
    if not identified:
        return _SEPARATOR.join(("study", *sorted({one.film.identity.study_instance_uid for one in opened})))
    issuer = next((patient.issuer for patient in identified if patient.issuer), "")
    return _SEPARATOR.join(("patient", issuer, identified[0].patient_id))


def _moved(request: StudyRequest, rules: Policy, patient: str) -> datetime:
    """Return the time that the results state: as much moved as the films' dates, or none of this century."""
    return request.composed_at + rules.pseudonyms.shift(patient) if rules.keeps_dates else _UNDATED


def _results(
    context: ComposeContext,
    request: StudyRequest,
    rules: Policy,
    films: Sequence[DeidentifiedFilm],
    left_out: Counter[LeftOut],
    *,
    now: datetime,
) -> Iterator[ExportedObject]:
    """Yield the results, composed anew; they refer to each other as those of one run of the node do."""
    radiographs = {film.instance.identity.sop_instance_uid: film.radiograph for film in films}
    run = Run()
    (group,) = by_patient([film.reported for film in films])
    for kind in sorted((KIND_BY_NAME[name] for name in request.kinds), key=lambda kind: kind.order):
        composing = ComposeRequest(
            films=group,
            load_film=lambda film: _reduced(radiographs, film),
            observer=_observer(context.observer, request.options),
            now=now,
            results=run.sent_to(_HERE),
        )
        try:
            results = kind.compose_all(composing)
        except GiveUp:
            left_out[LeftOut.CHECK] += 1
            continue
        run.add(kind.referred(results), _HERE)
        for result in results:
            yield ExportedObject(kind=kind.name, instance=_marked(result, rules))


def _reduced(radiographs: Mapping[Uid, Radiograph], film: ReportedFilm) -> ReducedFilm:
    return reduce_film(radiographs[film.reading.film.sop_instance_uid])


def _observer(observer: Observer, options: frozenset[Option]) -> Observer:
    """Return the observing device; without the option to retain it, as a node without a name of its own."""
    if Option.DEVICE in options:
        return observer
    unnamed = Observer()
    return replace(observer, name=unnamed.name, serial_number=unnamed.serial_number)


def _marked(result: Instance, rules: Policy) -> Instance:
    """Return a result with the marks of a de-identified object, and without UIDs of devices unless they are retained.

    Pictures and pages have text of the node alone, and films with text are left out: nothing in them identifies a
    patient, which is what Burned In Annotation (0028,0301) states.
    """
    dataset = dcmread(BytesIO(result.content))
    add_marks(dataset, rules.options, is_result=True)
    if "BurnedInAnnotation" in dataset:
        dataset.BurnedInAnnotation = "NO"
    if Option.DEVICE not in rules.options:
        for equipment in dataset.get("ContributingEquipmentSequence", ()):
            if "DeviceUID" in equipment:
                equipment.DeviceUID = rules.pseudonyms.uid(equipment.DeviceUID)
    return instance_of(encoded(dataset), result.identity, dataset.file_meta.TransferSyntaxUID)
