"""Statuses of C-STORE and STOW-RS, and the status of each error (PS3.4 table B.2-1, PS3.7 annex C)."""

import errno
from enum import IntEnum

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.receive.identify import DataSetMismatch


class StoreStatus(IntEnum):
    """Statuses of the node's C-STORE responses; other than Success they are Failure Reasons of STOW-RS."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122
    """By STOW-RS only (PS3.18 section I.2.2): by C-STORE the presentation context is rejected."""


_OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class SopClassNotSupported(RejectObject):
    """The SOP Class is not accepted, or the request's differs from its presentation context's."""


class TransferSyntaxNotSupported(RejectObject):
    """The transfer syntax of a file is not accepted."""


def out_of_resources() -> RetryLater:
    """Return the error for a film without disk space."""
    return RetryLater("no space for a film above the reserve for database and results")


def too_large(size_bytes: int) -> RejectObject:
    """Return the error for a data set above the size limit."""
    return RejectObject(f"object of {size_bytes} bytes is larger than the limit")


def status_of(error: Exception) -> StoreStatus:
    """Return the status: the object must change, the sender may retry, or an operator must act."""
    match error:
        case DataSetMismatch():
            return StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
        case SopClassNotSupported():
            return StoreStatus.SOP_CLASS_NOT_SUPPORTED
        case TransferSyntaxNotSupported():
            return StoreStatus.TRANSFER_SYNTAX_NOT_SUPPORTED
        case RejectObject():
            return StoreStatus.CANNOT_UNDERSTAND
        case RetryLater() | MemoryError():
            return StoreStatus.OUT_OF_RESOURCES
        case OSError() if error.errno in _OUT_OF_SPACE:
            return StoreStatus.OUT_OF_RESOURCES
        case _:
            return StoreStatus.PROCESSING_FAILURE


def comment_of(error: Exception) -> str:
    """Return the Error Comment (0000,0902) for the sender: at most 64 ASCII characters.

    Only messages of the node's own errors are quoted: another library's may contain element values.
    """
    match error:
        case RejectObject():
            comment = str(error)
        case RetryLater() | MemoryError() | OSError():
            comment = "not stored, send again later"
        case _:
            comment = "not stored, internal error"
    return comment.encode("ascii", "replace").decode("ascii").replace("\\", "/")[:64]
