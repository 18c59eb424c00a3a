"""Films as results name them: by the header in their archived bytes, or by their row."""

from dataclasses import dataclass, replace

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.element_values import transfer_syntax_and_data_set, values_of
from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements
from cxr_node.pixels.parsing import parse_header
from cxr_node.process_pool.executor import Executor
from cxr_node.receive.identify import patient_key, patient_of_key
from cxr_node.report.header.safe_header import is_copied
from cxr_node.report.source import ReportedFilm, header_of

_PATIENT = ("IssuerOfPatientID", "PatientID", "PatientName", "PatientBirthDate")
_SPECIFIC_CHARACTER_SET = 0x00080005


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFilm:
    """A film with its reading.

    `added_after` is the number of results composed before it was received, `issue` that of its study.
    """

    film: Film
    reading: Reading
    added_after: int = 0
    issue: int = 0


def report_film(context: ComposeContext, item: ReadFilm) -> ReportedFilm:
    """Return a film with the header in its archived bytes; see `reported_film`.

    A film whose kept bytes are damaged is not analysed any more (DAMAGED), and named by its patient and UIDs.
    """
    film = item.film
    try:
        content = context.film_bytes.read(context.archive, film)
    except Damaged as damaged:
        reading = item.reading.without_findings(damaged.reason, damaged.detail)
        return _numbered(_patient_only_if_any(damaged.content, reading), item)
    sets = context.character_sets
    reported = reported_film(content, item.reading, character_sets=sets.get(film.sender.calling_ae_title, sets.get("")))
    return _numbered(reported, item)


def report_patient(context: ComposeContext, item: ReadFilm) -> ReportedFilm:
    """Return a film with its patient alone; see `with_patient_only`."""
    try:
        return _numbered(with_patient_only(read_intact(context.archive, item.film), item.reading), item)
    except Damaged as damaged:
        return _numbered(_patient_only_if_any(damaged.content, item.reading), item)


def _patient_only_if_any(content: bytes | None, reading: Reading) -> ReportedFilm:
    """Return a film of damaged bytes, whose character set is not trusted."""
    return _named_by_row(reading) if content is None else with_patient_only(content, reading, is_intact=False)


def report_guarded(executor: Executor[ComposeContext], item: ReadFilm) -> ReportedFilm:
    """Return a film, also if parsing its header ends the process that does so.

    Such a film is named by its patient and its UIDs. If it was analysed, it is not any more: its findings would be
    stated without the header that they are of.
    """
    try:
        return executor.map(report_film, [item])[0]
    except ProcessDied as died:
        detail = f"its header cannot be read: {died}"
    reading = item.reading
    if reading.prediction is not None:
        reading = reading.without_findings(Reason.MODEL_ERROR, detail)
    unreadable = replace(item, reading=reading)
    try:
        return executor.map(report_patient, [unreadable])[0]
    except ProcessDied:
        return named_by_row(unreadable)


def reported_film(
    content: bytes,
    reading: Reading,
    *,
    character_sets: tuple[str, ...] | None = None,
) -> ReportedFilm:
    """Return a film with the header in its archived bytes, or with its patient alone if that is not what was received.

    A header that cannot be parsed, or not as far as reception read it, must not hold back the results of the study's
    other films, and nothing else of it is copied.
    """
    try:
        header = parse_header(content)
    except GiveUp:
        header = Dataset()
    if _is_as_received(header, reading):
        header = Dataset({tag: header.get_item(tag, keep_deferred=True) for tag in filter(is_copied, header.keys())})
        return ReportedFilm(header=header, reading=reading, character_sets=character_sets)
    return replace(with_patient_only(content, reading), character_sets=character_sets)


def with_patient_only(content: bytes, reading: Reading, *, is_intact: bool = True) -> ReportedFilm:
    """Return a film with the UIDs of its row, and of its bytes only the patient, if it is that of its row.

    The row has a digest of the patient's identifiers: values that give it are those received, whatever else is
    damaged. The digest does not cover the character set, so that bytes that are not `is_intact` give no value beyond
    ASCII.
    """
    film = reading.film
    try:
        syntax, data_set = transfer_syntax_and_data_set(content)
        patient = patient_of_key(data_set, transfer_syntax_uid=syntax, key=film.patient_key)
        if patient and is_intact:
            patient |= values_of(data_set, frozenset({_SPECIFIC_CHARACTER_SET}), transfer_syntax_uid=syntax)
        patient = {tag: value for tag, value in patient.items() if is_intact or value.isascii()}
    except ValueError:
        patient = {}
    if not patient:
        return _named_by_row(reading)
    header = header_of(film)
    for tag, value in patient.items():
        header[tag] = RawDataElement(BaseTag(tag), dictionary_VR(tag), len(value), value, 0, False, True)
    return ReportedFilm(header=header, reading=reading)


def named_by_row(item: ReadFilm) -> ReportedFilm:
    """Return a film with the UIDs of its row alone: its file is not opened."""
    return _numbered(_named_by_row(item.reading), item)


def _named_by_row(reading: Reading) -> ReportedFilm:
    return ReportedFilm(header=header_of(reading.film), reading=reading, is_named_by_row=True)


def _is_as_received(header: Dataset, reading: Reading) -> bool:
    film = reading.film
    uids = tuple(elements.text(header, keyword) for keyword in ("SOPInstanceUID", "StudyInstanceUID"))
    patient = (elements.encoded(header, keyword) for keyword in _PATIENT)
    return uids == (film.sop_instance_uid, film.study_instance_uid) and patient_key(*patient) == film.patient_key


def _numbered(reported: ReportedFilm, item: ReadFilm) -> ReportedFilm:
    correction = item.film.digest if item.film.is_corrected else ""
    if item.issue:
        correction = f"{correction} {item.issue}".lstrip()
    return replace(reported, added_after=item.added_after, correction=correction)
