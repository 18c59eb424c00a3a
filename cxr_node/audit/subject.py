"""Study and patient of a file, as identified in the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from cxr_node.domain.identifiers import Uid, parse_uid

_STUDY_INSTANCE_UID = 0x0020000D


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySubject:
    """A study with its Patient ID, without a name, and its instances by SOP Class."""

    study_instance_uid: Uid
    patient_id: str
    accession_number: str = ""
    instances: Sequence[tuple[Uid, Sequence[Uid]]] = ()


def parse_subject(content: bytes) -> StudySubject:
    """Parse the DICOM file `content` (PS3.10 section 7) up to the Study Instance UID.

    Raises
    ------
    ValueError
        If it is no DICOM file with these UIDs.
    """
    try:
        file = read_partial(BytesIO(content), stop_when=_is_after_study)
        return StudySubject(
            study_instance_uid=parse_uid(file.StudyInstanceUID),
            patient_id=str(file.get("PatientID") or ""),
            accession_number=str(file.get("AccessionNumber") or ""),
            instances=((parse_uid(file.SOPClassUID), (parse_uid(file.SOPInstanceUID),)),),
        )
    except Exception:  # noqa: BLE001  # the decoder may raise anything, and quote values
        raise ValueError("not a DICOM file with valid UIDs") from None


def _is_after_study(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _STUDY_INSTANCE_UID
