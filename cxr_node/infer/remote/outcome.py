"""Outcome of a request to an inference server, and the error of a request that gave no usable response."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_FILM_STATUSES = frozenset({400, 413, 422})
"""HTTP statuses by which a server refuses a request for its content."""


class RequestOutcome(StrEnum):
    """How a request ended; the values are labels of metrics."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    NOT_SENT = "not_sent"
    TIMED_OUT = "timed_out"
    TRUNCATED = "truncated"
    BUSY = "busy"
    HTTP_STATUS = "http_status"
    TOO_LARGE = "too_large"
    WRONG_MODEL = "wrong_model"
    INVALID = "invalid"
    NOT_FINITE = "not_finite"


class RemoteError(Exception):
    """The server gave no usable response: the message says what is so.

    Parameters
    ----------
    retry_after_s
        Seconds after which the server asks to be tried again (RFC 9110 section 10.2.3); 0 if it does not say.
    status
        HTTP status of the response; 0 if there is none.
    """

    def __init__(self, outcome: RequestOutcome, message: str, *, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def may_be_the_film(self) -> bool:
        """Whether the film may be the cause, and not the server."""
        return self.outcome is RequestOutcome.NOT_FINITE or self.status in _FILM_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTrouble:
    """Why the server is not used, and since when."""

    message: str
    since: datetime
