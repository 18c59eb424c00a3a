"""A DICOM file in a part of a request: File Meta Information in memory, its data set streamed to the archive.

PS3.10 section 7.1. UIDs and the file's head are those of the data set, whatever its File Meta Information has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cxr_node.domain.element_values import (
    MEDIA_STORAGE_SOP_CLASS_UID,
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
    file_meta_and_data_set,
)
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.instance import Sender, StagedInstance, StagedObject
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION, STORAGE_SOP_CLASSES
from cxr_node.net.multipart import MediaType, Part
from cxr_node.receive.application_entity import NOTE_TRANSFER_SYNTAXES, TRANSFER_SYNTAXES
from cxr_node.receive.identify import DataSetMismatch, identify
from cxr_node.receive.status import SopClassNotSupported, TransferSyntaxNotSupported
from cxr_node.receive.upper_layer.command_set import StoreRequest
from cxr_node.receive.upper_layer.incoming import IncomingDataSet

MEDIA_TYPE = "application/dicom"
_PREFIX = slice(128, 132)
_BEGINNING_BYTES = 192 << 10
"""Bytes of a file held in memory, for its File Meta Information and the UIDs of its data set."""
_FILE_META_GROUP = (b"\x02\0", b"\0\x02")
_NOT_ENCODED = frozenset({"", "binary", "8bit", "7bit"})


class Uids(NamedTuple):
    """SOP Class UID and SOP Instance UID of an object."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRules:
    """What is accepted of a request: the sender's SOP Classes, and one study, if the request names it."""

    sender: Sender
    stage: Callable[[], StagedObject]
    has_space: Callable[[], bool]
    maximum_object_bytes: int
    allows_sop_class: Callable[[str], bool] = lambda _uid: True
    study_instance_uid: Uid | None = None

    def check(self, uids: Uids, transfer_syntax_uid: Uid) -> None:
        """Raise an error if the object is not accepted, as its presentation context would be rejected."""
        is_note = uids.sop_class_uid == KEY_OBJECT_SELECTION
        if not (is_note or uids.sop_class_uid in STORAGE_SOP_CLASSES) or not self.allows_sop_class(uids.sop_class_uid):
            raise SopClassNotSupported("SOP Class UID (0008,0016) is not accepted")
        if transfer_syntax_uid not in (NOTE_TRANSFER_SYNTAXES if is_note else TRANSFER_SYNTAXES):
            raise TransferSyntaxNotSupported("Transfer Syntax UID (0002,0010) is not accepted")


class IncomingPart:
    """The object of one part. `receive` reads the part, `finish` returns the object or raises why there is none."""

    def __init__(self, rules: PartRules) -> None:
        self._rules = rules
        self._film: IncomingDataSet | None = None
        self._error: Exception | None = None
        self.uids: Uids | None = None
        """Of the object, once known."""

    def receive(self, part: Part) -> None:
        """Read a part to its end. Only errors of the request are raised, those of the object by `finish`."""
        beginning = bytearray()
        for block in part.content:
            if self._film is not None:
                self._film.write(memoryview(block))
            elif self._error is None:
                beginning += block
                if len(beginning) >= _BEGINNING_BYTES:
                    self._begin(part, bytes(beginning))
        if self._film is None and self._error is None:
            self._begin(part, bytes(beginning))

    def finish(self) -> StagedInstance:
        """Return the staged object; raises as `IncomingDataSet.finish`, or RejectObject if it is not accepted."""
        if self._error is not None:
            raise self._error
        if self._film is None:
            raise RejectObject("the part was not received")
        instance = self._film.finish()
        identity = instance.identity
        self.uids = Uids(identity.sop_class_uid, identity.sop_instance_uid)
        self._rules.check(self.uids, instance.transfer_syntax_uid)
        if self._rules.study_instance_uid not in (None, identity.study_instance_uid):
            raise DataSetMismatch("Study Instance UID (0020,000D) differs from the request's")
        return instance

    def close(self) -> None:
        """Discard what is not committed."""
        if self._film is not None:
            self._film.close()

    def _begin(self, part: Part, beginning: bytes) -> None:
        try:
            _check_header(part)
            self._film = self._begun(beginning)
        except Exception as error:  # noqa: BLE001  # raised by `finish`
            self._error = error

    def _begun(self, beginning: bytes) -> IncomingDataSet:
        """Begin the data set of a file, by its beginning."""
        meta, data_set = file_meta_and_data_set(beginning, offset=_meta_offset(beginning))
        self.uids = _uids_of(meta)
        transfer_syntax_uid = _parsed(meta.get(TRANSFER_SYNTAX_UID, b""))
        if transfer_syntax_uid is None or bytes(data_set[:2]) in _FILE_META_GROUP:
            raise RejectObject("the file has no whole File Meta Information")
        self.uids = _identified(data_set, transfer_syntax_uid) or self.uids
        if self.uids is None:
            raise RejectObject("not a data set with SOP Class UID and SOP Instance UID")
        self._rules.check(self.uids, transfer_syntax_uid)
        film = IncomingDataSet(
            StoreRequest(message_id=0, **self.uids._asdict()),
            context_id=0,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=self._rules.sender,
            stage=self._rules.stage,
            maximum_object_bytes=self._rules.maximum_object_bytes,
            has_space=self._rules.has_space,
        )
        film.write(data_set)
        return film


def _check_header(part: Part) -> None:
    media_type = MediaType(part.fields.get("content-type", MEDIA_TYPE))
    if media_type.name != MEDIA_TYPE:
        raise RejectObject(f"the part is not {MEDIA_TYPE}")
    if part.fields.get("content-transfer-encoding", "").lower() not in _NOT_ENCODED:
        raise RejectObject("the part has a Content-Transfer-Encoding")


def _meta_offset(beginning: bytes) -> int:
    """Return where the File Meta Information begins: after the prefix, or at once, as some libraries write it."""
    if beginning[_PREFIX] == b"DICM":
        return _PREFIX.stop
    if beginning[:2] not in _FILE_META_GROUP:
        raise RejectObject("the part is no DICOM file")
    return 0


def _uids_of(meta: Mapping[int, bytes]) -> Uids | None:
    sop_class_uid = _parsed(meta.get(MEDIA_STORAGE_SOP_CLASS_UID, b""))
    sop_instance_uid = _parsed(meta.get(MEDIA_STORAGE_SOP_INSTANCE_UID, b""))
    return Uids(sop_class_uid, sop_instance_uid) if sop_class_uid and sop_instance_uid else None


def _parsed(value: bytes) -> Uid | None:
    try:
        return parse_uid(value.decode("ascii"))
    except ValueError:
        return None


def _identified(data_set: memoryview, transfer_syntax_uid: Uid) -> Uids | None:
    """Return the UIDs of a data set by its beginning; None if they are not in it."""
    try:
        identity = identify(data_set, transfer_syntax_uid=transfer_syntax_uid)
    except RejectObject:
        return None
    return Uids(identity.sop_class_uid, identity.sop_instance_uid)
