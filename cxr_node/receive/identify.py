"""Identity of a received object: its UIDs, and a digest of its patient's identifiers."""

from collections.abc import Mapping

from cxr_node.domain import film_attributes
from cxr_node.domain.element_values import values_of
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Digest, Uid, digest_of, parse_uid
from cxr_node.domain.instance import Identity

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
_TYPE_2 = frozenset({_PATIENT_NAME, _PATIENT_ID, _PATIENT_BIRTH_DATE})
"""Elements of the patient that every film has, even if empty (PS3.3 section C.7.1.1)."""
_WANTED = frozenset({*_PATIENT, *_UIDS, *film_attributes.TAGS})
_PADDING = b" \0"


class DataSetMismatch(RejectObject):
    """The data set is not the object of the C-STORE request."""


def identify(data_set: memoryview, *, transfer_syntax_uid: Uid) -> Identity:
    """Return the identity of an encoded data set; raises as `identify_with_values`."""
    return identify_with_values(data_set, transfer_syntax_uid=transfer_syntax_uid)[0]


def identify_with_values(data_set: memoryview, *, transfer_syntax_uid: Uid) -> tuple[Identity, Mapping[int, bytes]]:
    """Return the identity of an encoded data set, and its encoded values of `film_attributes.TAGS`, cut if too long.

    One walk finds both, as it costs more than what follows from the values.

    Raises
    ------
    RejectObject
        If the bytes are no data set, or a UID is missing or invalid. The message never quotes a value, which may be
        anything.
    """
    try:
        values = _values(data_set, transfer_syntax_uid)
    except ValueError as error:
        raise RejectObject(f"not a data set: {error}") from error
    identity = Identity(
        sop_class_uid=_uid(values, _SOP_CLASS_UID),
        sop_instance_uid=_uid(values, _SOP_INSTANCE_UID),
        series_instance_uid=_uid(values, _SERIES_INSTANCE_UID),
        study_instance_uid=_uid(values, _STUDY_INSTANCE_UID),
        patient_key=patient_key(*(values.get(tag, b"") for tag in _PATIENT)),
    )
    described = film_attributes.TAGS & values.keys()
    return identity, {tag: values[tag][: film_attributes.ENCODED_BYTES] for tag in described}


def patient_of_key(data_set: memoryview, *, transfer_syntax_uid: Uid, key: Digest) -> dict[int, bytes]:
    """Return the encoded values of the patient's identifiers by tag, if they are those of a patient key; else none."""
    try:
        values = _values(data_set, transfer_syntax_uid)
    except ValueError:
        return {}
    is_same = patient_key(*(values.get(tag, b"") for tag in _PATIENT)) == key
    return {tag: values[tag] for tag in _PATIENT if tag in values} if is_same else {}


def _values(data_set: memoryview, transfer_syntax_uid: Uid) -> dict[int, bytes]:
    return values_of(
        data_set, _WANTED, transfer_syntax_uid=transfer_syntax_uid, required=_UIDS.keys(), expected=_TYPE_2
    )


def check_request(identity: Identity, *, affected_sop_class_uid: str, affected_sop_instance_uid: str) -> None:
    """Raise DataSetMismatch unless the C-STORE request names this object (PS3.4 section B.2.3)."""
    if identity.sop_class_uid != affected_sop_class_uid:
        raise DataSetMismatch("SOP Class UID (0008,0016) differs from the request's")
    if identity.sop_instance_uid != affected_sop_instance_uid:
        raise DataSetMismatch("SOP Instance UID (0008,0018) differs from the request's")


def patient_key(issuer_of_patient_id: bytes, patient_id: bytes, patient_name: bytes, birth_date: bytes) -> Digest:
    """Return a digest of the encoded values without padding.

    No character set, case, caret or leading zero is normalised: the key proves that a header is the received one. Films
    of a study are compared by decoded values instead (`report/patient.py`, decision 0141).
    """
    values = (issuer_of_patient_id, patient_id, patient_name, birth_date)
    # Separated by 0x1F, which no string VR may contain (PS3.5 section 6.1.3).
    return digest_of(b"\x1f".join(value.strip(_PADDING) for value in values))


def _uid(values: dict[int, bytes], tag: int) -> Uid:
    name = _UIDS[tag]
    if not values.get(tag, b"").strip(_PADDING):
        raise RejectObject(f"{name} is missing")
    try:
        return parse_uid(values[tag].decode("ascii"))
    except ValueError:
        raise RejectObject(f"{name} is not a UID") from None
