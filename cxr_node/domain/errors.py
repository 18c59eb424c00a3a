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


class ProcessDied(RetryLater):
    """A process that ran the step died, or was ended at a limit of memory or time. It counts as a crash of the job."""


class GiveUp(Exception):
    """Permanent failure: an operator must act. The received object stays, with this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail


class PlacedFault(Exception):
    """A fault of the node in another process, with its place there; `text` is type and place, for the log."""

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place


def place_of(error: BaseException) -> str:
    """Return where an error was raised, for rows and reports: neither its type nor its message, which may quote."""
    if isinstance(error, PlacedFault):
        return error.place
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "a place unknown"
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"


def type_and_place(error: BaseException) -> str:
    """Return type and place of an error, for the log, without its message, which may quote element values."""
    return str(error) if isinstance(error, PlacedFault) else f"{type(error).__name__} in {place_of(error)}"


def cause_of(error: Exception) -> str:
    """Return why a call of the system or of a library failed, in words, without values and names of classes."""
    match error:
        case TimeoutError():
            return "timed out"
        case OSError() if error.strerror:
            return error.strerror
        case OSError() if isinstance(getattr(error, "reason", None), Exception):  # of urllib
            return cause_of(error.reason)  # type: ignore[attr-defined]
        case ConnectionError() | EOFError():
            return "the connection or the file ended early"
        case OSError():
            return "it cannot be read or written"
        case UnicodeError():
            return "it is not text"
        case _:
            return "it is not what is expected"
