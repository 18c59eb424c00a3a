"""Outcome of HTTP responses without a verdict, and the delay that a server asks for."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.domain.clock import utc_now
from cxr_node.domain.errors import RetryLater

if TYPE_CHECKING:
    from cxr_node.net.http_authorization import AuthorizedServer
    from cxr_node.net.http_client import Response

_LONGEST_RETRY_AFTER_S = 3600.0
_TIMEOUT = 408
_TOO_MANY_REQUESTS, _UNAVAILABLE = 429, 503
_UNREACHABLE = frozenset({401, 403, 404, 405, 407, _TOO_MANY_REQUESTS, 502, _UNAVAILABLE, 504, 507, 511})


class HttpOutcome(Enum):
    """Meaning of an HTTP status: `UNREACHABLE` also for other objects, until an operator or the server acts."""

    UNREACHABLE = "all deliveries wait"
    RETRY = "repeated"
    REJECTED = "fails until an operator acts"


def of_http_status(status: int) -> HttpOutcome:
    """Return the outcome of a status whose response has no verdict on the instance."""
    if status in _UNREACHABLE or 300 <= status < 400:
        return HttpOutcome.UNREACHABLE
    if 400 <= status < 500 and status != _TIMEOUT:
        return HttpOutcome.REJECTED
    return HttpOutcome.RETRY


def send(
    server: "AuthorizedServer",
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: Sequence[bytes | memoryview] = (),
) -> "Response":
    """Send a request; see `AuthorizedServer.send`.

    Raises
    ------
    DestinationUnreachable, RetryLater
        If there is no whole response.
    """
    # Every command loads the kinds of destinations.
    from cxr_node.net.http_client import HttpError

    try:
        return server.send(method, path, headers, body)
    except HttpError as error:
        raise (DestinationUnreachable if error.is_unreachable else RetryLater)(str(error)) from error


def raise_for_status(response: "Response", message: str, *, clock: Callable[[], datetime] = utc_now) -> NoReturn:
    """Raise the error of a response without a verdict; `message` names server and request.

    Raises
    ------
    DestinationUnreachable, RetryLater, DeliveryRejected
        By the status.
    """
    sentence = f"{message} with HTTP status {response.status}"
    match of_http_status(response.status):
        case HttpOutcome.UNREACHABLE:
            wait_s = retry_after_s(response.headers.get("Retry-After", ""), now=clock())
            raise DestinationUnreachable(sentence, retry_after_s=wait_s)
        case HttpOutcome.RETRY:
            raise RetryLater(sentence)
        case HttpOutcome.REJECTED:
            raise DeliveryRejected(sentence)


def retry_after_s(text: str, *, now: datetime) -> float:
    """Return the delay of a Retry-After header, seconds or a date (RFC 9110 section 10.2.3), 0 to one hour."""
    if text.isdecimal() and len(text) < 10:
        return min(float(text), _LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):  # a year may have any number of digits
        return 0.0
    seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)
