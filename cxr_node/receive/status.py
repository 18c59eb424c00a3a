"""Which error earns which status of a C-STORE response (PS3.4 table B.2-1, PS3.7 annex C)."""

import errno
from enum import IntEnum

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.receive.identify import DataSetMismatch


class StoreStatus(IntEnum):
    """The statuses this node answers with. Only one of them is a promise."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class SopClassNotSupported(RejectObject):
    """The request's SOP Class is not that of the presentation context it came on."""


def status_of(error: Exception) -> StoreStatus:
    """Return the status that tells the sender what to do: mend the object, send again later, or call someone."""
    match error:
        case DataSetMismatch():
            return StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
        case SopClassNotSupported():
            return StoreStatus.SOP_CLASS_NOT_SUPPORTED
        case RejectObject():
            return StoreStatus.CANNOT_UNDERSTAND
        case RetryLater() | MemoryError():
            return StoreStatus.OUT_OF_RESOURCES
        case OSError() if error.errno in _NO_ROOM:
            return StoreStatus.OUT_OF_RESOURCES
        case _:
            return StoreStatus.PROCESSING_FAILURE


def comment_of(error: Exception) -> str:
    """Return the Error Comment (0000,0902) for the sender: at most 64 ASCII characters.

    Only the node's own refusals speak in their own words: another library's message may quote a value.
    """
    match error:
        case RejectObject():
            sentence = str(error)
        case RetryLater() | MemoryError() | OSError():
            sentence = "not stored, send again later"
        case _:
            sentence = "not stored, internal error"
    return sentence.encode("ascii", "replace").decode("ascii").replace("\\", "/")[:64]
