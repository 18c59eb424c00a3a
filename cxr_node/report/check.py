"""A result held against its promises before it leaves the node. What fails stays here, with the reason.

Outside validators (dciodvfy, dsrdump, PixelMed) run in the tests; these rules run on every object, for a
result filed under the wrong patient, or one that a viewer cannot open, must never be sent.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.report.content_rules import content_faults
from cxr_node.report.source import Film
from cxr_node.report.tree import items, meaning_of

_TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "InstanceNumber",
    "CompletionFlag",
    "VerificationFlag",
    "ContentDate",
    "ContentTime",
    "CurrentRequestedProcedureEvidenceSequence",
    "ValueType",
    "ConceptNameCodeSequence",
    "ContinuityOfContent",
    "ContentSequence",
]
"""Attributes that shall have a value: PS3.3 C.7.3.1, C.7.5.2, C.12.1, C.17.1, C.17.2, C.17.3."""

_TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "ReferencedPerformedProcedureStepSequence",
    "PerformedProcedureCodeSequence",
]
"""Attributes that shall be present and may be empty: PS3.3 C.7.1.1, C.7.2.1, C.17.1, C.17.2."""

_SAME_AS_SOURCE = ["PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"]
_FLAGS = {"VerificationFlag": "UNVERIFIED", "ContentQualification": "RESEARCH", "SpecificCharacterSet": "ISO_IR 192"}


def require_sound(document: Dataset, films: Sequence[Film]) -> None:
    """Raise GiveUp (RESULT) with every fault of `document`, a report on `films`, if it has any."""
    faults = document_faults(document, films)
    if faults:
        raise GiveUp(Reason.RESULT, "; ".join(faults))


def document_faults(document: Dataset, films: Sequence[Film]) -> tuple[str, ...]:
    """Return a sentence for each broken promise, none of which quotes a value of the patient's.

    Parameters
    ----------
    document
        A Structured Report.
    films
        Its sources, with safe headers.
    """
    faults = (*_missing(document), *_other_identity(document, films), *_unresolved(document, films))
    return faults or tuple(content_faults(document, films))


def _missing(document: Dataset) -> Iterator[str]:
    for keyword in _TYPE_1:
        if keyword not in document or document[keyword].is_empty:
            yield f"{keyword} has no value"
    for keyword in _TYPE_2:
        if keyword not in document:
            yield f"{keyword} is absent"
    for keyword, value in _FLAGS.items():
        if document.get(keyword) != value:
            yield f"{keyword} is not {value}"


def _other_identity(document: Dataset, films: Sequence[Film]) -> Iterator[str]:
    header = films[0].header
    for keyword in _SAME_AS_SOURCE:
        if str(document.get(keyword) or "") != str(header.get(keyword) or ""):
            yield f"{keyword} is not that of the source"
    if document.get("StudyInstanceUID") != films[0].reading.film.study_instance_uid:
        yield "StudyInstanceUID is not that of the source"


def _unresolved(document: Dataset, films: Sequence[Film]) -> Iterator[str]:
    sources = {film.reading.film.sop_instance_uid for film in films}
    evidence = set(_evidence(document))
    if evidence != sources:
        yield "CurrentRequestedProcedureEvidenceSequence does not list the sources"
    for _, item in items(document):
        if item.get("ValueType") == "IMAGE" and _referenced(item) not in evidence:
            yield f"{meaning_of(item)} refers to an image that is not in the evidence"


def _evidence(document: Dataset) -> Iterator[str]:
    for study in document.get("CurrentRequestedProcedureEvidenceSequence", ()):
        for series in study.ReferencedSeriesSequence:
            yield from (str(instance.ReferencedSOPInstanceUID) for instance in series.ReferencedSOPSequence)


def _referenced(item: Dataset) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
