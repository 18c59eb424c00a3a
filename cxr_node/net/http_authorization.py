"""Authorization of HTTP requests: Basic, a bearer token from a file, or OAuth 2.0 client credentials (RFC 6749)."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from cxr_node.domain.errors import cause_of
from cxr_node.net.http_client import HttpError, HttpServer, Response

_UNAUTHORIZED = 401
_MAX_SECRET_BYTES = 16_384
_EARLY_S = 30.0
"""A token is renewed this long before it expires."""
_WITHOUT_EXPIRY_S = 300.0
"""How long a token is used whose response has no `expires_in`."""


class Authorization(Protocol):
    """Makes the Authorization header."""

    def header(self) -> str:
        """Return the value of the header.

        Raises
        ------
        HttpError
            If a file cannot be read, or the authorization server gives no token.
        """
        ...

    def renew(self, rejected: str) -> bool:
        """Forget what made the header `rejected` (status 401); return whether another may be accepted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuthorization:
    """User and password (RFC 7617); the file holds the password in one line and is read at each request."""

    user: str
    password_file: Path

    def header(self) -> str:
        """Return the value of the header; see `Authorization.header`."""
        return _basic(self.user, secret_line(self.password_file))

    def renew(self, rejected: str) -> bool:  # noqa: ARG002  # of every authorization
        """Return False: the file was read for the rejected request."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuthorization:
    """Bearer token (RFC 6750) in one line of a file, which is read at each request, so that it may be replaced."""

    token_file: Path

    def header(self) -> str:
        """Return the value of the header; see `Authorization.header`."""
        return f"Bearer {secret_line(self.token_file)}"

    def renew(self, rejected: str) -> bool:
        """Whether the file has been replaced since the rejected request."""
        return self.header() != rejected


@dataclass(slots=True, kw_only=True)
class ClientCredentials:
    """Bearer tokens of an authorization server by the client credentials grant (RFC 6749 section 4.4). Thread-safe.

    A token is used until shortly before it expires, or until it is rejected.
    """

    server: HttpServer
    client_id: str
    client_secret_file: Path
    scope: str = ""
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _header: str = field(default="", init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def header(self) -> str:
        """Return the value of the header; see `Authorization.header`."""
        with self._lock:
            if not self._header or self.clock() >= self._until:
                token, expires_in_s = self._request()
                self._header, self._until = f"Bearer {token}", self.clock() + max(0.0, expires_in_s - _EARLY_S)
            return self._header

    def renew(self, rejected: str) -> bool:
        """Forget the token of the rejected header; return True, as another is requested then."""
        with self._lock:
            if self._header == rejected:
                self._header = ""
        return True

    def _request(self) -> tuple[str, float]:
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        secret = quote(secret_line(self.client_secret_file), safe="")
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            # Both parts form-encoded (RFC 6749 section 2.3.1).
            "Authorization": _basic(quote(self.client_id, safe=""), secret),
        }
        response = self.server.send("POST", "", headers, [urlencode(form).encode()])
        if not response.is_success:
            raise self._refused(f"it answered status {response.status}")
        try:
            document = json.loads(response.body)
            token, kind = document["access_token"], document["token_type"]
            expires_in_s = float(document.get("expires_in") or _WITHOUT_EXPIRY_S)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._refused("its response is no token response") from None
        if not isinstance(token, str) or not _is_one_line(token) or str(kind).lower() != "bearer":
            raise self._refused("its response has no bearer token")
        return token, expires_in_s

    def _refused(self, reason: str) -> HttpError:
        return HttpError(f"no access token from {self.server}: {reason}", is_unreachable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedServer:
    """A server with the authorization and further headers of each request."""

    server: HttpServer
    authorization: Authorization | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Return host and port, for messages."""
        return str(self.server)

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: Sequence[bytes | memoryview] = ()
    ) -> Response:
        """Send a request; see `HttpServer.send`. After status 401 once more, if the authorization can be renewed."""
        if self.authorization is None:
            return self.server.send(method, path, {**self.headers, **headers}, body)
        value = self.authorization.header()
        response = self.server.send(method, path, {**self.headers, "Authorization": value, **headers}, body)
        if response.status != _UNAUTHORIZED or not self.authorization.renew(value):
            return response
        value = self.authorization.header()
        return self.server.send(method, path, {**self.headers, "Authorization": value, **headers}, body)


def secret_line(path: Path) -> str:
    """Return the one line of a file with a secret.

    Raises
    ------
    HttpError
        If the file cannot be read or holds no line of printable ASCII; the secret is not in the sentence.
    """
    try:
        with path.open("rb") as file:
            line = file.read(_MAX_SECRET_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HttpError(f"{path.name} cannot be read: {cause_of(error)}", is_unreachable=True) from error
    if not line or not line.isprintable():
        raise HttpError(f"{path.name} holds no secret: one line is expected", is_unreachable=True)
    return line


def _is_one_line(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and len(token) <= _MAX_SECRET_BYTES


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"
