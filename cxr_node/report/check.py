"""Check of every result before it leaves the node: attributes, patient and study, references, content tree.

A result that fails stays in the node, with the reason. A result filed under the wrong patient, or one that a viewer
cannot open, must never be sent. Outside validators (dciodvfy, dsrdump, PixelMed) run in the tests.
"""

from collections.abc import Iterator, Mapping, Sequence, Set

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.instance import Identity
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.elements import keywords, tag_of, value_of
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.rules import item_faults
from cxr_node.report.sr.tree import items, meaning_of

TYPE_1: tuple[str, ...] = keywords("""
    SOPClassUID SOPInstanceUID SpecificCharacterSet StudyInstanceUID SeriesInstanceUID SeriesNumber Modality
    SeriesDate SeriesTime
    Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions InstanceNumber
""")
"""Attributes of every result that shall have a value: PS3.3 C.7.2.1, C.7.3.1, C.7.5.2, C.12.1."""

TYPE_2: tuple[str, ...] = keywords("""
    PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber
""")
"""Attributes of every result that shall be present and may be empty: PS3.3 C.7.1.1, C.7.2.1."""

_SAME_AS_SOURCE = keywords("PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex AccessionNumber")
FLAGS: Mapping[str, str] = {"ContentQualification": "RESEARCH", "SpecificCharacterSet": "ISO_IR 192"}


def require_sound(
    result: Dataset, films: Sequence[ReportedFilm], result_type: ResultType, referred: Sequence[Identity] = ()
) -> None:
    """Raise GiveUp (RESULT) with every fault of `result`, made from `films`, if it has any."""
    faults = faults_of(result, films, result_type, referred)
    if faults:
        raise GiveUp(Reason.RESULT, "; ".join(faults))


def faults_of(
    result: Dataset, films: Sequence[ReportedFilm], result_type: ResultType, referred: Sequence[Identity] = ()
) -> tuple[str, ...]:
    """Return a sentence for each broken promise; none quotes a value of the patient's.

    Parameters
    ----------
    result
        An object of `result_type`, as composed or as read back.
    films
        Its sources, with safe headers.
    referred
        Other results that it refers to, and prior films with their reports.
    """
    others = {identity.sop_instance_uid for identity in referred}
    faults = (*_missing(result, result_type), *_other_identity(result, films), *_unresolved(result, films, others))
    if faults or "ContentSequence" not in result:
        return faults
    return tuple(fault for rule in (item_faults, *result_type.content_rules) for fault in rule(result, films))


def _missing(result: Dataset, result_type: ResultType) -> Iterator[str]:
    for keyword in (*TYPE_1, *result_type.type_1):
        tag = tag_of(keyword)
        if tag not in result or result[tag].is_empty:
            yield f"{keyword} has no value"
    for keyword in (*TYPE_2, *result_type.type_2):
        if tag_of(keyword) not in result:
            yield f"{keyword} is absent"
    for keyword, value in {**FLAGS, **result_type.flags}.items():
        if result.get(keyword) != value:
            yield f"{keyword} is not {value}"


def _other_identity(result: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    source = films[0].header
    for keyword in _SAME_AS_SOURCE:
        if str(result.get(keyword) or "") != str(source.get(keyword) or ""):
            yield f"{keyword} is not that of the source"
    if result.get("StudyInstanceUID") != films[0].reading.film.study_instance_uid:
        yield "StudyInstanceUID is not that of the source"


def _unresolved(result: Dataset, films: Sequence[ReportedFilm], others: Set[str]) -> Iterator[str]:
    evidence = set(_evidence(result))
    if evidence != {film.reading.film.sop_instance_uid for film in films} | others:
        yield "the references do not name the sources"
    for _, item in items(result):
        if value_of(item, "ValueType") not in ("IMAGE", "COMPOSITE"):
            continue
        if str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) not in evidence:
            yield f"{meaning_of(item)} refers to an object that is not in the evidence"


def _evidence(result: Dataset) -> Iterator[str]:
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in result.get(keyword, ()):
            for series in study.ReferencedSeriesSequence:
                yield from (str(instance.ReferencedSOPInstanceUID) for instance in series.ReferencedSOPSequence)
    for series in result.get("ReferencedSeriesSequence", ()):
        images = series.get("ReferencedImageSequence") or series.get("ReferencedInstanceSequence", ())
        yield from (str(instance.ReferencedSOPInstanceUID) for instance in images)
    for keyword in ("SourceImageSequence", "SourceInstanceSequence"):
        yield from (str(instance.ReferencedSOPInstanceUID) for instance in result.get(keyword, ()))
