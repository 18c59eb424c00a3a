"""A result held against its promises before it leaves the node. What fails stays here, with the reason.

Outside validators (dciodvfy, dsrdump, PixelMed) run in the tests; these rules run on every object, for a
result filed under the wrong patient, or one that a viewer cannot open, must never be sent.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.report.source import Film
from cxr_node.report.sr.rules import content_faults
from cxr_node.report.sr.tree import items, meaning_of

TYPE_1 = """
    SOPClassUID SOPInstanceUID SpecificCharacterSet StudyInstanceUID SeriesInstanceUID SeriesNumber Modality
    Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions InstanceNumber
"""
"""Attributes of every result that shall have a value: PS3.3 C.7.2.1, C.7.3.1, C.7.5.2, C.12.1."""

TYPE_2 = """
    PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber
"""
"""Attributes of every result that shall be present and may be empty: PS3.3 C.7.1.1, C.7.2.1."""

_DOCUMENT = "ContentDate ContentTime CurrentRequestedProcedureEvidenceSequence ValueType ConceptNameCodeSequence"
_PICTURE = (
    "Rows Columns BitsAllocated PixelData PhotometricInterpretation SamplesPerPixel ImageType SourceImageSequence"
)
_STATE = """
    ContentLabel PresentationCreationDate PresentationCreationTime ReferencedSeriesSequence
    DisplayedAreaSelectionSequence PresentationLUTShape GraphicAnnotationSequence GraphicLayerSequence
"""
_SEGMENTATION = """
    ContentDate ContentTime ContentLabel Rows Columns BitsAllocated PixelData PhotometricInterpretation SamplesPerPixel
    ImageType SegmentationType SegmentSequence NumberOfFrames SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence DimensionOrganizationSequence DimensionIndexSequence ReferencedSeriesSequence
    LossyImageCompression
"""
TYPE_1_OF: Mapping[str, str] = {
    "SR": f"{_DOCUMENT} ContinuityOfContent ContentSequence CompletionFlag VerificationFlag",
    "KO": f"{_DOCUMENT} ContinuityOfContent ContentSequence",
    "OT": f"{_PICTURE} ConversionType BurnedInAnnotation DerivationDescription",
    "PR": _STATE,
    "SEG": _SEGMENTATION,
}
"""Modality of the result to what else shall have a value: PS3.3 C.17.2, C.17.6.2, C.8.6.1, C.11.9-11, C.8.20.2."""

TYPE_2_OF: Mapping[str, str] = {
    "SR": "ReferencedPerformedProcedureStepSequence PerformedProcedureCodeSequence",
    "KO": "ReferencedPerformedProcedureStepSequence",
    "OT": "PatientOrientation",
    "PR": "ContentDescription ContentCreatorName",
    "SEG": "ContentDescription ContentCreatorName PatientOrientation",
}

_SAME_AS_SOURCE = "PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex AccessionNumber"
FLAGS: Mapping[str, str] = {"ContentQualification": "RESEARCH", "SpecificCharacterSet": "ISO_IR 192"}
FLAGS_OF: Mapping[str, Mapping[str, str]] = {
    "SR": {"VerificationFlag": "UNVERIFIED"},
    "OT": {"BurnedInAnnotation": "YES"},
    "SEG": {"SegmentationType": "BINARY"},
}


def require_sound(result: Dataset, films: Sequence[Film]) -> None:
    """Raise GiveUp (RESULT) with every fault of `result`, made from `films`, if it has any."""
    faults = faults_of(result, films)
    if faults:
        raise GiveUp(Reason.RESULT, "; ".join(faults))


def faults_of(result: Dataset, films: Sequence[Film]) -> tuple[str, ...]:
    """Return a sentence for each broken promise, none of which quotes a value of the patient's.

    Parameters
    ----------
    result
        A result object of any kind, as composed or as read back.
    films
        Its sources, with safe headers.
    """
    faults = (*_missing(result), *_other_identity(result, films), *_unresolved(result, films))
    return faults or tuple(content_faults(result, films) if "ContentSequence" in result else ())


def _missing(result: Dataset) -> Iterator[str]:
    modality = str(result.get("Modality"))
    for keyword in (TYPE_1 + TYPE_1_OF.get(modality, "")).split():
        if keyword not in result or result[keyword].is_empty:
            yield f"{keyword} has no value"
    for keyword in (TYPE_2 + TYPE_2_OF.get(modality, "")).split():
        if keyword not in result:
            yield f"{keyword} is absent"
    for keyword, value in ({**FLAGS, **FLAGS_OF.get(modality, {})}).items():
        if result.get(keyword) != value:
            yield f"{keyword} is not {value}"


def _other_identity(result: Dataset, films: Sequence[Film]) -> Iterator[str]:
    source = films[0].header
    for keyword in _SAME_AS_SOURCE.split():
        if str(result.get(keyword) or "") != str(source.get(keyword) or ""):
            yield f"{keyword} is not that of the source"
    if result.get("StudyInstanceUID") != films[0].reading.film.study_instance_uid:
        yield "StudyInstanceUID is not that of the source"


def _unresolved(result: Dataset, films: Sequence[Film]) -> Iterator[str]:
    named = set(_sources_named(result))
    if named != {film.reading.film.sop_instance_uid for film in films}:
        yield "the references do not name the sources"
    for _, item in items(result):
        if item.get("ValueType") == "IMAGE" and _referenced(item) not in named:
            yield f"{meaning_of(item)} refers to an image that is not in the evidence"


def _sources_named(result: Dataset) -> Iterator[str]:
    for study in result.get("CurrentRequestedProcedureEvidenceSequence", ()):
        for series in study.ReferencedSeriesSequence:
            yield from (str(instance.ReferencedSOPInstanceUID) for instance in series.ReferencedSOPSequence)
    for series in result.get("ReferencedSeriesSequence", ()):
        images = series.get("ReferencedImageSequence") or series.get("ReferencedInstanceSequence", ())
        yield from (str(instance.ReferencedSOPInstanceUID) for instance in images)
    yield from (str(instance.ReferencedSOPInstanceUID) for instance in result.get("SourceImageSequence", ()))


def _referenced(item: Dataset) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
