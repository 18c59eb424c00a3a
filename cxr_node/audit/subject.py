"""Whose film or result it is, as the audit trail says it."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from cxr_node.domain.identifiers import Uid, parse_uid

_STUDY_INSTANCE_UID = 0x0020000D


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A study of a patient, and instances of it by SOP Class. The patient has a number and no name here."""

    study_instance_uid: Uid
    patient_id: str
    accession_number: str = ""
    instances: Sequence[tuple[Uid, Sequence[Uid]]] = ()


def subject_of(content: bytes) -> Subject:
    """Return whose DICOM file `content` is (PS3.10 section 7); nothing after the Study Instance UID is read.

    Raises
    ------
    ValueError
        If it is no DICOM file that says what it is.
    """
    try:
        file = read_partial(BytesIO(content), stop_when=_is_after_study)
        return Subject(
            study_instance_uid=parse_uid(file.StudyInstanceUID),
            patient_id=str(file.get("PatientID") or ""),
            accession_number=str(file.get("AccessionNumber") or ""),
            instances=((parse_uid(file.SOPClassUID), (parse_uid(file.SOPInstanceUID),)),),
        )
    except Exception as error:  # noqa: BLE001  # whatever a peer's bytes made of the decoder, whose words may quote them
        raise ValueError(f"not a DICOM file that says what it is ({type(error).__name__})") from None


def _is_after_study(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _STUDY_INSTANCE_UID
