"""HTTP client of an OpenID Provider: JSON responses, each within what is left of a total time-out."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from cxr_node.domain.errors import cause_of
from cxr_node.net.timed_response import response_until

_MAX_RESPONSE_BYTES = 1 << 20

Json = Mapping[str, Any]
Remaining = Callable[[], float]
"""Returns the seconds that are left, or raises TimeoutError if none are."""


class LoginError(Exception):
    """The login failed at the provider, or its response is invalid; the sentence says why.

    `name` is the person in the ID Token, for the audit trail; empty if there is none.
    """

    def __init__(self, sentence: str, *, name: str = "") -> None:
        super().__init__(sentence)
        self.name = name


class ProviderUnreachable(LoginError):
    """The provider did not respond, or not in time."""


def fetch(
    address: str, *, tls: ssl.SSLContext, remaining_s: Remaining, form: Json | None = None, authorization: str = ""
) -> Json:
    """Return the JSON object at `address`; with `form` it is posted there.

    Raises
    ------
    LoginError
        If the provider is unreachable or too slow, or responds with anything else.
    """
    headers = {"Accept": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(address, data=body, headers=headers)  # noqa: S310  # see oidc.is_safe
    opener = urllib.request.build_opener(_TimedHttp(remaining_s), _TimedHttps(remaining_s, tls))
    try:
        with opener.open(request, timeout=remaining_s()) as response:
            content = json.loads(response.read(_MAX_RESPONSE_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        raise LoginError(f"the provider responds with status {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ProviderUnreachable(f"the provider is unreachable: {cause_of(error)}") from error
    if not isinstance(content, dict):
        raise LoginError("the provider's response is not a JSON object")
    return content


class _TimedHttp(urllib.request.HTTPHandler):
    def __init__(self, remaining_s: Remaining) -> None:
        super().__init__()
        self._remaining_s = remaining_s

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_timed, http.client.HTTPConnection, self._remaining_s), req)


class _TimedHttps(urllib.request.HTTPSHandler):
    def __init__(self, remaining_s: Remaining, tls: ssl.SSLContext) -> None:
        super().__init__()
        self._remaining_s, self._tls = remaining_s, tls

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_timed, http.client.HTTPSConnection, self._remaining_s), req, context=self._tls)


def _timed(kind: Callable[..., http.client.HTTPConnection], remaining_s: Remaining, host: str, **options: Any) -> Any:
    connection = kind(host, **options | {"timeout": remaining_s()})
    connection.response_class = response_until(remaining_s)
    return connection
