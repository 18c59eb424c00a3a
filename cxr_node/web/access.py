"""Access control of the web application: logins, sessions, API tokens, and tokens against forged requests (CSRF)."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Security, status
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import BadSignature, URLSafeTimedSerializer

from cxr_node.config import ConfigurationError
from cxr_node.domain.failed_logins import FailedLogins
from cxr_node.domain.files import create_whole
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops.users import user_of_settings
from cxr_node.records.web_users import WebUser
from cxr_node.settings.operations import OidcSection, WebSection
from cxr_node.web.accounts import Accounts

COOKIE = "cxr-node-session"
TOKEN = "token"  # noqa: S105  # the name of a form's field
API_PREFIX = "/api/v1/"
TOKEN_HEADER = "X-Token"  # noqa: S105  # the name of a header
_KEY_BYTES = 32
_MAX_FAILURES_OF_NAME, _MAX_FAILURES_OF_ADDRESS = 5, 20
"""Wrong passwords of an address within a minute, for one name and for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person with a session and the CSRF token of its forms, or a program with an API token and no CSRF token."""

    name: str
    permissions: Permissions
    token: str
    is_program: bool = False
    has_own_password: bool = False
    """Whether the password is kept in the database, so that the person can change it on the page."""

    @property
    def actor(self) -> str:
        """Name in log, job events and audit trail."""
        return self.name if self.is_program else f"person/{self.name}"

    @property
    def is_operator(self) -> bool:
        """Whether the person may change the node and its work."""
        return self.permissions.role is PageRole.OPERATOR

    @property
    def sees_films(self) -> bool:
        """Whether the person may see films and their readings."""
        return self.permissions.sees_films

    @property
    def sees_identifiers(self) -> bool:
        """Whether the person may see accession numbers and Patient IDs, and search by them."""
        return self.permissions.sees_identifiers


class TooManyAttempts(Exception):
    """Too many wrong passwords of an address in the last minute, for one name or for all: its logins are rejected."""


class Authenticator:
    """Checks passwords, and issues and verifies sessions: signed cookies, with a row in the database.

    Users are those of the settings, and those of the database. A changed password or role ends the user's sessions; a
    changed `oidc` setting ends those from its provider; a logout ends one. Wrong passwords count by address, whether
    there is such a user or not: no one can lock out a user from elsewhere, or learn who is one.
    """

    def __init__(
        self,
        section: WebSection,
        key: bytes,
        *,
        accounts: Accounts,
        oidc: OidcSection | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        has_provider = oidc is not None and oidc.issuer
        # Keyed: the settings alone are known to people outside.
        self._oidc_fingerprint = _keyed_digest(key, oidc.canonical_json()) if oidc and has_provider else ""
        self._users = {user.name: user_of_settings(user) for user in section.users}
        self._accounts = accounts
        self._session_s = section.session_s
        self._signer = URLSafeTimedSerializer(key, salt="session", signer_kwargs={"digest_method": hashlib.sha256})
        self._dummy_hash = PasswordHash.unmatched()
        self._failed_of_name = FailedLogins(_MAX_FAILURES_OF_NAME, clock=clock)
        self._failed_of_address = FailedLogins(_MAX_FAILURES_OF_ADDRESS, clock=clock)

    def has_users(self) -> bool:
        """Whether anyone can log in."""
        return bool(self._users or self._oidc_fingerprint) or self._accounts.has_users()

    def log_in(self, name: str, password: str, *, address: str) -> str | None:
        """Return a session if name and password are right, else None; an unknown name takes as long as a known one.

        Raises
        ------
        TooManyAttempts
            If there were too many wrong passwords of this address in the last minute.
        """
        user = self._checked(name, password, address=address)
        return None if user is None else self._start(name, address, {"is": _user_fingerprint(user)})

    def is_password(self, name: str, password: str, *, address: str) -> bool:
        """Whether a user has this password; wrong ones count as those of logins do.

        Raises
        ------
        TooManyAttempts
            As `log_in` does.
        """
        return self._checked(name, password, address=address) is not None

    def _checked(self, name: str, password: str, *, address: str) -> WebUser | None:
        """Return the user if name and password are right."""
        attempt = f"{address} {name}"
        if not self._failed_of_name.begin(attempt) or not self._failed_of_address.begin(address):
            raise TooManyAttempts
        user = self._users.get(name) or self._accounts.user(name)
        if user is not None and user.locked_at is not None:
            user = None
        password_hash = PasswordHash.parse(user.password_hash) if user else self._dummy_hash
        if not password_hash.matches(password.encode()) or user is None:
            return None
        self._failed_of_name.succeeded(attempt)
        self._failed_of_address.succeeded(address)
        return user

    def log_out(self, person: Person) -> None:
        """End the session of a person, in every copy of its cookie."""
        self._accounts.end_session(person.token)

    def start_session(self, name: str, permissions: Permissions, *, address: str) -> str:
        """Return a session for a person whom the OpenID Provider authenticated."""
        granted = {
            "operator": permissions.role is PageRole.OPERATOR,
            "films": permissions.sees_films,
            "identifiers": permissions.sees_identifiers,
        }
        return self._start(name, address, {"is": self._oidc_fingerprint, **granted})

    def _start(self, name: str, address: str, payload: Mapping[str, object]) -> str:
        token = secrets.token_urlsafe(16)
        self._accounts.start_session(token, user_name=name, address=address, lifetime_s=self._session_s)
        return self._signer.dumps({"name": name, "token": token, **payload})

    def person(self, cookie: str | None) -> Person | None:
        """Return the person of a session cookie; None if it is missing, forged, expired or ended.

        Raises
        ------
        DatabaseUnavailable
            If the database cannot be asked.
        """
        if not cookie:
            return None
        try:
            payload = self._signer.loads(cookie, max_age=int(self._session_s))
        except BadSignature:
            return None
        session = self._accounts.session(payload["token"])
        if session is None:
            return None
        if "operator" in payload:
            return self._oidc_person(payload)
        user = self._users.get(payload["name"]) or session.user
        if user is None or user.locked_at is not None:
            return None
        if not hmac.compare_digest(payload["is"], _user_fingerprint(user)):
            return None
        return Person(
            name=user.name,
            permissions=user.permissions,
            token=payload["token"],
            has_own_password=not user.is_of_settings,
        )

    def _oidc_person(self, payload: Mapping[str, Any]) -> Person | None:
        if not self._oidc_fingerprint or not hmac.compare_digest(payload["is"], self._oidc_fingerprint):
            return None
        role = PageRole.OPERATOR if payload["operator"] else PageRole.VIEWER
        # Sessions of the version before state nothing of identifiers.
        identifiers = payload.get("identifiers", False)
        permissions = Permissions(role=role, sees_films=payload["films"], sees_identifiers=identifiers)
        return Person(name=payload["name"], permissions=permissions, token=payload["token"])

    def program(self, secret: str) -> tuple[Person | None, bool]:
        """Return the program of an API token, None if the token is not valid; and whether to audit this use."""
        token = self._accounts.api_token(secret)
        if token is None:
            return None, True
        program = Person(name=f"token/{token.name}", permissions=token.permissions, token="", is_program=True)
        return program, self._accounts.note_use(token)


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


Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(
        HTTPBearer(
            auto_error=False,
            scheme_name="API token",
            description="Token of `cxr-node token add`. Accepted under /api/v1; no X-Token is needed.",
        )
    ),
]
Session = Annotated[
    str | None,
    Security(
        APIKeyCookie(
            name=COOKIE,
            auto_error=False,
            scheme_name="Session",
            description="Cookie of a login at /login. A request that changes anything carries the session's X-Token.",
        )
    ),
]


def require_login(request: Request, bearer: Bearer, _: Session) -> Person:
    """Return the person of the request's session, or the program of its API token; or respond 401."""
    authenticator: Authenticator = request.app.state.authenticator
    if bearer is not None and request.url.path.startswith(API_PREFIX):
        return _require_token(request, authenticator, bearer.credentials)
    person = authenticator.person(request.cookies.get(COOKIE))
    if person is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "log in first")
    return person


def _require_token(request: Request, authenticator: Authenticator, secret: str) -> Person:
    program, is_audited = authenticator.program(secret)
    if is_audited:
        name, failure = (program.name, "") if program else ("token/", "unknown, expired or revoked API token")
        address = request.client.host if request.client is not None else ""
        request.app.state.context.access_audit.record_login(name, address, failure=failure)
    if program is None:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED,
            "the API token is unknown, expired or revoked",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return program


LoggedIn = Annotated[Person, Depends(require_login)]


def _require_film_access(person: LoggedIn) -> Person:
    if not person.sees_films:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show films")
    return person


SeesFilms = Annotated[Person, Depends(_require_film_access)]


def _require_identifiers(person: SeesFilms) -> Person:
    if not person.sees_identifiers:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show identifiers, which this document has")
    return person


MayIdentify = Depends(_require_identifiers)
"""A request for what names a patient."""


def _require_operator_role(person: LoggedIn) -> Person:
    if not person.is_operator:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login may not change anything")
    return person


HasOperatorRole = Annotated[Person, Depends(_require_operator_role)]
"""An operator, in a request that changes nothing."""


def require_token(person: Person, token: str) -> None:
    """Refuse a request of a form that does not carry the session's token."""
    if not hmac.compare_digest(token.encode(), person.token.encode()):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "the request does not carry this session's token")


async def _require_operator(person: HasOperatorRole, request: Request) -> Person:
    if person.is_program:  # no browser sends an API token by itself
        return person
    token = request.headers.get(TOKEN_HEADER)
    if token is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        token = str((await request.form()).get(TOKEN, ""))
    require_token(person, token or "")
    return person


Operator = Annotated[Person, Depends(_require_operator)]


def _user_fingerprint(user: WebUser) -> str:
    """Return a digest of what a session depends on: a change of password or permissions ends it."""
    return _digest(f"{user.password_hash} {user.permissions}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keyed_digest(key: bytes, text: str) -> str:
    return hmac.new(key, b"provider " + text.encode(), hashlib.sha256).hexdigest()
