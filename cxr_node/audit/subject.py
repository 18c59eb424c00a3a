"""Study and patient of a file, as identified in the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_node.domain.element_values import transfer_syntax_and_data_set, values_of
from cxr_node.domain.identifiers import Uid, parse_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID = 0x00080016, 0x00080018, 0x0020000D
_VRS = {
    0x00080005: "CS",  # Specific Character Set
    _SOP_CLASS_UID: "UI",
    _SOP_INSTANCE_UID: "UI",
    0x00080050: "SH",  # Accession Number
    0x00100020: "LO",  # Patient ID
    _STUDY_INSTANCE_UID: "UI",
}
_UIDS = frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID})


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySubject:
    """A study with its Patient ID, without a name, and its instances by SOP Class."""

    study_instance_uid: Uid
    patient_id: str
    accession_number: str = ""
    instances: Sequence[tuple[Uid, Sequence[Uid]]] = ()


def parse_subject(content: bytes) -> StudySubject:
    """Parse the DICOM file `content` (PS3.10 section 7) up to the Study Instance UID, by the walk of reception.

    That walk is bounded: a film with millions of elements, or one that inflates to gigabytes, costs no more here.

    Raises
    ------
    ValueError
        If it is no DICOM file with these UIDs.
    """
    try:
        file = _parse(content)
        return StudySubject(
            study_instance_uid=parse_uid(file.StudyInstanceUID),
            patient_id=str(file.get("PatientID") or ""),
            accession_number=str(file.get("AccessionNumber") or ""),
            instances=((parse_uid(file.SOPClassUID), (parse_uid(file.SOPInstanceUID),)),),
        )
    except Exception:  # noqa: BLE001  # the decoder may raise anything, and quote values
        raise ValueError("not a DICOM file with valid UIDs") from None


def _parse(content: bytes) -> "Dataset":
    # Every command loads this module with the audit trail, and most parse no film.
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    syntax, data_set = transfer_syntax_and_data_set(content)
    values = values_of(data_set, _VRS.keys(), transfer_syntax_uid=syntax, required=_UIDS)
    return Dataset(
        {
            BaseTag(tag): RawDataElement(BaseTag(tag), _VRS[tag], len(value), value, 0, False, True)
            for tag, value in values.items()
        }
    )
