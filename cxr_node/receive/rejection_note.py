"""Rejection notes as peers send them: Key Object Selections (PS3.3 section A.35.4) with a title of CID 7010."""

from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.domain.element_values import transfer_syntax_and_data_set
from cxr_node.domain.encoded_data_set import EXPLICIT_VR_BIG_ENDIAN, ElementCount, count_within, walk
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import parse_uid
from cxr_node.domain.rejection_titles import RejectedInstance, RejectionNote, RejectionTitle

MAXIMUM_BYTES = 1 << 20
"""Largest note; one reference takes some 200 bytes."""

_KEYWORDS = ["ConceptNameCodeSequence", "CurrentRequestedProcedureEvidenceSequence"]


def parse_rejection_note(content: bytes) -> RejectionNote:
    """Parse a DICOM file (PS3.10 section 7) of the class Key Object Selection Document.

    Raises
    ------
    RejectObject
        If it is no rejection note, or too large, or names no instance. The message quotes no value.
    """
    if len(content) > MAXIMUM_BYTES:
        raise RejectObject(f"Key Object Selection of more than {MAXIMUM_BYTES} bytes")
    try:
        _check_bounds(content)
        dataset = dcmread(BytesIO(content), specific_tags=list(_KEYWORDS))
        title = _title(dataset)
        instances = tuple(dict.fromkeys(_instances(dataset)))
    except Exception as error:  # the parser may raise anything, and quote values
        raise RejectObject("not a readable Key Object Selection") from error
    if title is None:
        raise RejectObject("Key Object Selection is no rejection note")
    if not instances:
        raise RejectObject("rejection note names no instance")
    return RejectionNote(title=title, instances=instances)


def _check_bounds(content: bytes) -> None:
    """Raise ValueError if there are more elements or levels than a film may have."""
    syntax, data_set = transfer_syntax_and_data_set(content)
    count = ElementCount()
    for element in walk(data_set, transfer_syntax_uid=syntax):
        count_within(data_set, element, is_little_endian=syntax != EXPLICIT_VR_BIG_ENDIAN, count=count)


def _title(dataset: Dataset) -> RejectionTitle | None:
    (name,) = dataset.ConceptNameCodeSequence
    if name.CodingSchemeDesignator != "DCM":
        return None
    return next((title for title in RejectionTitle if title == str(name.CodeValue)), None)


def _instances(dataset: Dataset) -> list[RejectedInstance]:
    return [
        RejectedInstance(
            study_instance_uid=parse_uid(str(study.StudyInstanceUID)),
            sop_instance_uid=parse_uid(str(instance.ReferencedSOPInstanceUID)),
        )
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
