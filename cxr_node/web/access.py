"""Access control of the web application: logins, sessions and tokens against forged requests (CSRF)."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, status
from itsdangerous import BadSignature, URLSafeTimedSerializer

from cxr_node.config import ConfigurationError
from cxr_node.domain.failed_logins import FailedLogins
from cxr_node.domain.files import create_whole
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.settings.operations import OidcSection, PageUserSection, WebSection
from cxr_node.web.ended_sessions import EndedSessions

COOKIE = "cxr-node-session"
TOKEN = "token"  # noqa: S105  # the name of a form's field
TOKEN_HEADER = "X-Token"  # noqa: S105  # the name of a header
_KEY_BYTES = 32
_MAX_FAILURES_OF_NAME, _MAX_FAILURES_OF_ADDRESS = 5, 20
"""Wrong passwords of an address within a minute, for one name and for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person with a session, and the CSRF token of its forms."""

    name: str
    is_operator: bool
    sees_films: bool
    token: str


class TooManyAttempts(Exception):
    """Too many wrong passwords of an address in the last minute, for one name or for all: its logins are rejected."""


class Authenticator:
    """Checks passwords, and issues and verifies sessions, which are signed cookies.

    A changed password or role ends the user's sessions; a changed `oidc` setting ends those from its provider; a logout
    ends one. Wrong passwords count by address, whether there is such a user or not: no one can lock out a user from
    elsewhere, or learn who is one.
    """

    def __init__(
        self,
        section: WebSection,
        key: bytes,
        *,
        oidc: OidcSection | None = None,
        ended: EndedSessions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        has_provider = oidc is not None and oidc.issuer
        # Keyed: the settings alone are known to people outside.
        self._oidc_fingerprint = _keyed_digest(key, oidc.canonical_json()) if oidc and has_provider else ""
        self._users = {user.name: user for user in section.users}
        self._session_s = section.session_s
        self._signer = URLSafeTimedSerializer(key, salt="session", signer_kwargs={"digest_method": hashlib.sha256})
        self._dummy_hash = PasswordHash.from_password(secrets.token_hex(), salt=secrets.token_bytes(16))
        self._ended = ended
        self._failed_of_name = FailedLogins(_MAX_FAILURES_OF_NAME, clock=clock)
        self._failed_of_address = FailedLogins(_MAX_FAILURES_OF_ADDRESS, clock=clock)

    @property
    def has_no_users(self) -> bool:
        """Whether no user is configured."""
        return not self._users and not self._oidc_fingerprint

    def log_in(self, name: str, password: str, *, address: str) -> str | None:
        """Return a session if name and password are right, else None; an unknown name takes as long as a known one.

        Raises
        ------
        TooManyAttempts
            If there were too many wrong passwords of this address in the last minute.
        """
        user, attempt = self._users.get(name), f"{address} {name}"
        if not self._failed_of_name.begin(attempt) or not self._failed_of_address.begin(address):
            raise TooManyAttempts
        password_hash = PasswordHash.parse(user.password_hash.get_secret_value()) if user else self._dummy_hash
        if not password_hash.matches(password.encode()) or user is None:
            return None
        self._failed_of_name.succeeded(attempt)
        self._failed_of_address.succeeded(address)
        return self._signer.dumps({"name": name, "is": _user_fingerprint(user), "token": secrets.token_urlsafe(16)})

    def log_out(self, person: Person) -> None:
        """End the session of a person, in every copy of its cookie."""
        if self._ended is not None:
            self._ended.end(person.token, until=time.time() + self._session_s)

    def start_session(self, name: str, *, is_operator: bool, sees_films: bool) -> str:
        """Return a session for a person whom the OpenID Provider authenticated."""
        payload = {"name": name, "is": self._oidc_fingerprint, "token": secrets.token_urlsafe(16)}
        return self._signer.dumps(payload | {"operator": is_operator, "films": sees_films})

    def person(self, cookie: str | None) -> Person | None:
        """Return the person of a session cookie; None if it is missing, forged, expired or revoked."""
        if not cookie:
            return None
        try:
            session = self._signer.loads(cookie, max_age=int(self._session_s))
        except BadSignature:
            return None
        if self._ended is not None and self._ended.has(session["token"]):
            return None
        if "operator" in session:
            return self._oidc_person(session)
        user = self._users.get(session["name"])
        if user is None or not hmac.compare_digest(session["is"], _user_fingerprint(user)):
            return None
        return Person(
            name=user.name, is_operator=user.role == "operator", sees_films=user.sees_films, token=session["token"]
        )

    def _oidc_person(self, session: Mapping[str, Any]) -> Person | None:
        if not self._oidc_fingerprint or not hmac.compare_digest(session["is"], self._oidc_fingerprint):
            return None
        return Person(
            name=session["name"], is_operator=session["operator"], sees_films=session["films"], token=session["token"]
        )


def session_key(folder: Path) -> bytes:
    """Return the key that signs sessions; it is created on first use, in the data folder.

    Raises
    ------
    ConfigurationError
        If the file is no key, such as an empty one that a power failure left: anyone could sign with it.
    """
    path = folder / "web.key"
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster
            create_whole(path, secrets.token_bytes(_KEY_BYTES))
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        fault = f"{path}: the key that signs sessions of the page has {len(key)} bytes instead of {_KEY_BYTES}"
        remedy = "remove the file: the next start creates a key, and everyone logs in again"
        raise ConfigurationError([f"{fault}, so that sessions could be forged; {remedy}"])
    return key


def require_login(request: Request) -> Person:
    """Return the person of the request's session, or respond 401."""
    authenticator: Authenticator = request.app.state.authenticator
    person = authenticator.person(request.cookies.get(COOKIE))
    if person is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "log in first")
    return person


LoggedIn = Annotated[Person, Depends(require_login)]


def _require_film_access(person: LoggedIn) -> Person:
    if not person.sees_films:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show films")
    return person


SeesFilms = Annotated[Person, Depends(_require_film_access)]


async def _require_operator(person: LoggedIn, request: Request) -> Person:
    if not person.is_operator:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login may not change anything")
    token = request.headers.get(TOKEN_HEADER)
    if token is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        token = str((await request.form()).get(TOKEN, ""))
    if not hmac.compare_digest((token or "").encode(), person.token.encode()):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "the request does not carry this session's token")
    return person


Operator = Annotated[Person, Depends(_require_operator)]


def _user_fingerprint(user: PageUserSection) -> str:
    """Return a digest of what a session depends on: a change of password, role or film access ends it."""
    return _digest(f"{user.password_hash.get_secret_value()} {user.role} {user.sees_films}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keyed_digest(key: bytes, text: str) -> str:
    return hmac.new(key, b"provider " + text.encode(), hashlib.sha256).hexdigest()
