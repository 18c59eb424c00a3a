"""Who may see and do what: logins, sessions and tokens against forged requests."""

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, status
from itsdangerous import BadSignature, URLSafeTimedSerializer

from cxr_node.domain.password_hash import PasswordHash
from cxr_node.settings.operations import OidcSection, PageUserSection, WebSection

COOKIE = "cxr-node-session"
TOKEN = "token"  # noqa: S105  # the name of a form's field
TOKEN_HEADER = "X-Token"  # noqa: S105  # the name of a header
_KEY_BYTES = 32
_TRIES = 5
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is logged in, and the token that this session's forms carry."""

    name: str
    is_operator: bool
    sees_films: bool
    token: str


class TooManyTries(Exception):
    """Someone guesses: nobody of this name is let in for a while."""


class Guard:
    """Logs people in, and knows them again by a signed cookie. A changed password or role ends their sessions.

    So does a changed setting of `oidc` for those whom its provider named.
    """

    def __init__(
        self,
        section: WebSection,
        key: bytes,
        *,
        oidc: OidcSection | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._elsewhere = _digest(oidc.model_dump_json()) if oidc is not None and oidc.issuer else ""
        self._users = {user.name: user for user in section.users}
        self._session_s = section.session_s
        self._signer = URLSafeTimedSerializer(key, salt="session", signer_kwargs={"digest_method": hashlib.sha256})
        self._nobody = PasswordHash.of(secrets.token_hex(), salt=secrets.token_bytes(16))
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    @property
    def is_open_to_nobody(self) -> bool:
        """Whether no user is configured."""
        return not self._users and not self._elsewhere

    def log_in(self, name: str, password: str) -> str | None:
        """Return a session for who shows the right password, else None; an unknown name takes as long as a known one.

        Raises
        ------
        TooManyTries
            If there were too many wrong passwords for this name in the last minute.
        """
        user = self._users.get(name)
        with self._lock:  # one guess at a time: guessing takes neither cores nor memory
            count, since = self._failures.get(name, (0, 0.0))
            if self._clock() - since > _PATIENCE_S:
                count = 0
            if count >= _TRIES:
                raise TooManyTries
            kept = PasswordHash.parse(user.password_hash) if user else self._nobody
            fits = kept.matches(password.encode())
            if user is None or not fits:
                if user is not None:  # made-up names are not counted: they would fill the memory
                    self._failures[name] = (count + 1, self._clock())
                return None
            self._failures.pop(name, None)
        return self._signer.dumps({"name": name, "is": _standing(user), "token": secrets.token_urlsafe(16)})

    def let_in(self, name: str, *, is_operator: bool, sees_films: bool) -> str:
        """Return a session for whom a provider has named; the settings say what that person may."""
        said = {"name": name, "is": self._elsewhere, "token": secrets.token_urlsafe(16)}
        return self._signer.dumps(said | {"operator": is_operator, "films": sees_films})

    def person(self, cookie: str | None) -> Person | None:
        """Return whose session a cookie is, or None."""
        if not cookie:
            return None
        try:
            said = self._signer.loads(cookie, max_age=int(self._session_s))
        except BadSignature:
            return None
        if "operator" in said:
            return self._named_elsewhere(said)
        user = self._users.get(said["name"])
        if user is None or not hmac.compare_digest(said["is"], _standing(user)):
            return None
        return Person(
            name=user.name,
            is_operator=user.role == "operator",
            sees_films=user.sees_films,
            token=said["token"],
        )

    def _named_elsewhere(self, said: Mapping[str, Any]) -> Person | None:
        if not self._elsewhere or not hmac.compare_digest(said["is"], self._elsewhere):
            return None
        return Person(name=said["name"], is_operator=said["operator"], sees_films=said["films"], token=said["token"])


def key_of(folder: Path) -> bytes:
    """Return the key that signs sessions; it is made when first asked for, and kept in the data folder."""
    path = folder / "web.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    key = secrets.token_bytes(_KEY_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def logged_in(request: Request) -> Person:
    """Return who asks, or answer 401."""
    guard: Guard = request.app.state.guard
    person = guard.person(request.cookies.get(COOKIE))
    if person is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "log in first")
    return person


Anyone = Annotated[Person, Depends(logged_in)]


def _sees_films(person: Anyone) -> Person:
    if not person.sees_films:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login does not show films")
    return person


SeesFilms = Annotated[Person, Depends(_sees_films)]


async def _operates(person: Anyone, request: Request) -> Person:
    if not person.is_operator:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "your login looks, and changes nothing")
    shown = request.headers.get(TOKEN_HEADER)
    if shown is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        shown = str((await request.form()).get(TOKEN, ""))
    if not hmac.compare_digest((shown or "").encode(), person.token.encode()):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "the request does not carry this session's token")
    return person


Operates = Annotated[Person, Depends(_operates)]


def _standing(user: PageUserSection) -> str:
    """Return what a session hangs on besides the name: it ends when one of these changes."""
    return _digest(f"{user.password_hash} {user.role} {user.sees_films}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
