"""Which error earns which status."""

import errno

import pytest

from cxr_node.domain.errors import GiveUp, RejectObject, RetryLater
from cxr_node.domain.reasons import Reason
from cxr_node.receive.identify import DataSetMismatch
from cxr_node.receive.status import SopClassNotSupported, StoreStatus, comment_of, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataSetMismatch("another object"), 0xA900),
        (SopClassNotSupported("another class"), 0x0122),
        (RejectObject("no data set"), 0xC000),
        (RetryLater("database is locked"), 0xA700),
        (OSError(errno.ENOSPC, "No space left on device"), 0xA700),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 0xA700),
        (OSError(errno.EMFILE, "Too many open files"), 0xA700),
        (MemoryError(), 0xA700),
        (OSError(errno.EIO, "Input/output error"), 0x0110),
        (GiveUp(Reason.DECODE, "unexpected here"), 0x0110),
        (ValueError("a fault of ours"), 0x0110),
        (KeyError("a fault of ours"), 0x0110),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize("error", [Exception(), AssertionError(), StopIteration(), UnicodeError(), TimeoutError()])
def test_no_error_is_success_or_a_warning(error: Exception) -> None:
    status = status_of(error)
    assert status is not StoreStatus.SUCCESS
    assert not 0xB000 <= status <= 0xBFFF


def test_only_messages_of_own_errors_are_quoted() -> None:
    assert comment_of(RejectObject("Study Instance UID (0020,000D) is missing")).startswith("Study Instance UID")
    assert "Roe^Jane" not in comment_of(ValueError("cannot decode 'Roe^Jane'"))
    assert "/films" not in comment_of(OSError(errno.ENOSPC, "No space left", "/films/roe"))


def test_an_error_comment_fits_its_element() -> None:
    comment = comment_of(RejectObject("ü\\" + "x" * 100))
    assert len(comment) == 64
    assert comment.startswith("?/x")
