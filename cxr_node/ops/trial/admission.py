"""Admission of a file as the node admits an object of C-STORE: SOP class, transfer syntax, size and identity."""

from dataclasses import dataclass, field

from pydicom.uid import UID

from cxr_node.domain.element_values import values_of
from cxr_node.domain.encoded_data_set import IMPLICIT_VR_LITTLE_ENDIAN
from cxr_node.domain.errors import GiveUp, RejectObject
from cxr_node.domain.identifiers import AeTitle, Uid, parse_uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.ops.trial.rows import Answer, NotAdmitted, Obstacle, Origin
from cxr_node.pixels import elements
from cxr_node.pixels.parsing import split_file
from cxr_node.receive.application_entity import TRANSFER_SYNTAXES
from cxr_node.receive.identify import identify
from cxr_node.receive.part10 import instance_of

SENDER = Sender(calling_ae_title=AeTitle("TRIAL"), called_ae_title=AeTitle("TRIAL"), address="")
_MANUFACTURER, _MODEL = 0x00080070, 0x00081090
_PREAMBLE = bytes(128) + b"DICM"
_FILE_META_GROUP = b"\x02\0"
_PADDING = " \0"


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A file on its way to a film; `origin` is complete as far as the file could be parsed."""

    content: bytes
    origin: Origin = field(default_factory=Origin)

    def admit(self, *, maximum_object_bytes: int) -> Instance:
        """Return the instance that the node would store.

        A file without File Meta Information is taken as Implicit VR Little Endian, the default transfer syntax.

        Raises
        ------
        NotAdmitted
            If no presentation context would be accepted for it, or the response would be a failure.
        """
        data_set, transfer_syntax_uid = self._parts()
        self.origin = _origin(data_set, transfer_syntax_uid)
        if transfer_syntax_uid not in TRANSFER_SYNTAXES:
            raise _rejected(Obstacle.TRANSFER_SYNTAX, _name(transfer_syntax_uid))
        if len(data_set) > maximum_object_bytes:
            raise _rejected(Obstacle.OBJECT_SIZE, f"{len(data_set)} bytes")
        try:
            identity = identify(data_set, transfer_syntax_uid=transfer_syntax_uid)
        except RejectObject as error:
            raise _rejected(Obstacle.DATA_SET, str(error)) from None
        sop_class = _name(identity.sop_class_uid)
        self.origin = Origin(
            manufacturer=self.origin.manufacturer,
            model=self.origin.model,
            sop_class=sop_class,
            transfer_syntax=self.origin.transfer_syntax,
        )
        if identity.sop_class_uid not in STORAGE_SOP_CLASSES:
            raise _rejected(Obstacle.SOP_CLASS, sop_class)
        return instance_of(identity, data_set, transfer_syntax_uid=transfer_syntax_uid, sender=SENDER)

    def _parts(self) -> tuple[memoryview, Uid]:
        """Return data set and transfer syntax."""
        content = self.content
        if content[len(_PREAMBLE) - 4 : len(_PREAMBLE)] != _PREAMBLE[-4:]:
            if not content.startswith(_FILE_META_GROUP):
                return memoryview(content), Uid(IMPLICIT_VR_LITTLE_ENDIAN)
            content = _PREAMBLE + content
        try:
            meta, data_set = split_file(content)
        except GiveUp as error:
            raise _rejected(Obstacle.DATA_SET, error.detail) from None
        stated = elements.text(meta, "TransferSyntaxUID")
        try:
            return data_set, parse_uid(stated) if stated else Uid(IMPLICIT_VR_LITTLE_ENDIAN)
        except ValueError:
            raise _rejected(Obstacle.TRANSFER_SYNTAX, "it is no UID") from None


def _origin(data_set: memoryview, transfer_syntax_uid: Uid) -> Origin:
    try:
        values = values_of(data_set, frozenset({_MANUFACTURER, _MODEL}), transfer_syntax_uid=transfer_syntax_uid)
    except ValueError:
        values = {}
    return Origin(
        manufacturer=_text(values.get(_MANUFACTURER, b"")),
        model=_text(values.get(_MODEL, b"")),
        transfer_syntax=_name(transfer_syntax_uid),
    )


def _text(value: bytes) -> str:
    """Return a value in printable characters; its character set is guessed."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return "".join(character if character.isprintable() else " " for character in text).strip(_PADDING)


def _name(uid: str) -> str:
    """Return the name of a UID of the standard, or the UID."""
    return UID(uid).name


def _rejected(reason: Obstacle, detail: str) -> NotAdmitted:
    return NotAdmitted(Answer.REJECTED, reason, detail)
