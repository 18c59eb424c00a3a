"""Errors by next step: reject, retry, or give up."""

from datetime import datetime

from cxr_node.domain.reasons import Reason


class RejectObject(Exception):
    """The peer gets a failure status and nothing is stored."""


class RetryLater(Exception):
    """Transient failure: the same step may succeed later without intervention."""


class Held(RetryLater):
    """All jobs of a stage wait for a service: they are due at `due_at`, and the attempt does not count."""

    def __init__(self, message: str, *, due_at: datetime) -> None:
        super().__init__(message)
        self.due_at = due_at


class GiveUp(Exception):
    """Permanent failure: an operator must act. The received object stays, with this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail


def place_of(error: BaseException) -> str:
    """Return type and place of an error, without its message, which may quote element values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
