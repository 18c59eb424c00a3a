"""Who a received object is: its UIDs, and a digest that stands for its patient."""

from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Digest, Uid, digest_of, parse_uid
from cxr_node.domain.instance import Identity
from cxr_node.receive.elements import values_of

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_PATIENT_NAME = 0x00100010
_PATIENT_ID = 0x00100020
_ISSUER_OF_PATIENT_ID = 0x00100021
_PATIENT_BIRTH_DATE = 0x00100030
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E

_PATIENT = (_ISSUER_OF_PATIENT_ID, _PATIENT_ID, _PATIENT_NAME, _PATIENT_BIRTH_DATE)
_UIDS = {
    _SOP_CLASS_UID: "SOP Class UID (0008,0016)",
    _SOP_INSTANCE_UID: "SOP Instance UID (0008,0018)",
    _STUDY_INSTANCE_UID: "Study Instance UID (0020,000D)",
    _SERIES_INSTANCE_UID: "Series Instance UID (0020,000E)",
}
_WANTED = frozenset({*_PATIENT, *_UIDS})
_PADDING = b" \0"


class DataSetMismatch(RejectObject):
    """The data set is another object than the C-STORE request says."""


def identify(data_set: memoryview, *, transfer_syntax_uid: Uid) -> Identity:
    """Return the identity of an encoded data set.

    Raises
    ------
    Refuse
        If the bytes are no data set, or a UID is missing or is none. The message never quotes a value:
        what stands where a UID belongs may be anything.
    """
    try:
        values = values_of(data_set, _WANTED, transfer_syntax_uid=transfer_syntax_uid)
    except ValueError as error:
        raise RejectObject(f"not a data set: {error}") from error
    return Identity(
        sop_class_uid=_uid(values, _SOP_CLASS_UID),
        sop_instance_uid=_uid(values, _SOP_INSTANCE_UID),
        series_instance_uid=_uid(values, _SERIES_INSTANCE_UID),
        study_instance_uid=_uid(values, _STUDY_INSTANCE_UID),
        patient_key=patient_key(*(values.get(tag, b"") for tag in _PATIENT)),
    )


def check_request(identity: Identity, *, affected_sop_class_uid: str, affected_sop_instance_uid: str) -> None:
    """Raise DataSetMismatch unless the C-STORE request names this very object (PS3.4 section B.2.3)."""
    if identity.sop_class_uid != affected_sop_class_uid:
        raise DataSetMismatch("SOP Class UID (0008,0016) differs from the request's")
    if identity.sop_instance_uid != affected_sop_instance_uid:
        raise DataSetMismatch("SOP Instance UID (0008,0018) differs from the request's")


def patient_key(issuer_of_patient_id: bytes, patient_id: bytes, patient_name: bytes, birth_date: bytes) -> Digest:
    """Return a digest that is the same for two objects whose patient is written in the same way.

    The values are taken as encoded, only without padding: no character set, case, caret or leading
    zero is made alike. So one patient written in two ways has two keys and a person is asked, which is
    the safe error; two patients have one key only if all four values agree to the last byte.
    """
    values = (issuer_of_patient_id, patient_id, patient_name, birth_date)
    # 0x1F, which no string VR may hold (PS3.5 section 6.1.3), keeps the values apart.
    return digest_of(b"\x1f".join(value.strip(_PADDING) for value in values))


def _uid(values: dict[int, bytes], tag: int) -> Uid:
    name = _UIDS[tag]
    if not values.get(tag, b"").strip(_PADDING):
        raise RejectObject(f"{name} is missing")
    try:
        return parse_uid(values[tag].decode("ascii"))
    except ValueError:
        raise RejectObject(f"{name} is not a UID") from None
