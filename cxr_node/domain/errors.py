"""Errors, sorted by what to do next."""

from cxr_node.domain.reasons import Reason


class RejectObject(Exception):
    """The peer is told and nothing is kept."""


class RetryLater(Exception):
    """A passing trouble: the same step may succeed later without anyone's help."""


class GiveUp(Exception):
    """Trying again cannot help: a person must look. What was received stays, with this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail


def place_of(error: BaseException) -> str:
    """Return an error's type and where it was raised, without its message, which may quote a film."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
