"""Users, sessions and API tokens in the database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cxr_node.db.database import Database
from cxr_node.records import api_tokens, web_sessions, web_users
from cxr_node.records.api_tokens import ApiToken
from cxr_node.records.web_users import WebUser


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session that has not ended; `user` is that of the database, None for others."""

    user: WebUser | None


class Accounts(Protocol):
    """Users beside those of the settings, and the sessions of all users."""

    def user(self, name: str) -> WebUser | None:
        """Return the user of this name."""
        ...

    def has_users(self) -> bool:
        """Whether a user can log in."""
        ...

    def start_session(self, token: str, *, user_name: str, address: str, lifetime_s: float) -> None:
        """Record a session."""
        ...

    def session(self, token: str) -> OpenSession | None:
        """Return the session of a token; None if it has ended, or there is none."""
        ...

    def end_session(self, token: str) -> None:
        """End the session of a token."""
        ...

    def api_token(self, secret: str) -> ApiToken | None:
        """Return the token of a secret; None if there is none, or it has expired or was revoked."""
        ...

    def note_use(self, token: ApiToken) -> bool:
        """Record that a token was used, once an hour; return whether this use was recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccounts:
    """Users and sessions of the database.

    Nothing is kept in memory: a change by a command, or on another host, counts at the next request.
    """

    database: Database
    read_database: Database
    clock: Callable[[], datetime]

    def user(self, name: str) -> WebUser | None:
        """Return the user of this name."""
        with self.read_database.read() as connection:
            return web_users.find(connection, name)

    def has_users(self) -> bool:
        """Whether a user can log in."""
        with self.read_database.read() as connection:
            return web_users.count(connection) > 0

    def start_session(self, token: str, *, user_name: str, address: str, lifetime_s: float) -> None:
        """Record a session."""
        now = self.clock()
        until = now + timedelta(seconds=lifetime_s)
        with self.database.write() as transaction:
            web_sessions.start(transaction, token, user_name=user_name, address=address, now=now, until=until)

    def session(self, token: str) -> OpenSession | None:
        """Return the session of a token; None if it has ended, or there is none."""
        with self.read_database.read() as connection:
            session = web_sessions.open_session(connection, token, now=self.clock())
            return None if session is None else OpenSession(user=web_users.find(connection, session.user_name))

    def end_session(self, token: str) -> None:
        """End the session of a token."""
        with self.database.write() as transaction:
            web_sessions.end(transaction, token, now=self.clock())

    def api_token(self, secret: str) -> ApiToken | None:
        """Return the token of a secret; None if there is none, or it has expired or was revoked."""
        return api_tokens.find_valid(self.read_database, secret, now=self.clock())

    def note_use(self, token: ApiToken) -> bool:
        """Record that a token was used, once an hour; return whether this use was recorded."""
        return api_tokens.note_use(self.database, token, now=self.clock())
