"""Users of the web page: added, changed, locked, and their sessions ended, by command and page; all of it audited."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cxr_node.audit import events
from cxr_node.db.database import Transaction
from cxr_node.domain.codes import Code
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.domain.password_policy import password_fault
from cxr_node.domain.permissions import Permissions
from cxr_node.ops import operator_log
from cxr_node.records import web_sessions, web_users
from cxr_node.records.web_sessions import Session
from cxr_node.records.web_users import WebUser
from cxr_node.settings.operations import USER_NAME, PageUserSection
from cxr_node.wiring.process import Process


class UserProblem(Exception):
    """A user cannot be added or changed; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatus:
    """A user with the last login, None if it is longer ago than sessions are kept, and the open sessions."""

    user: WebUser
    last_login: datetime | None
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAdministration:
    """Changes of users by one person, whom `by` names in log and audit trail."""

    process: Process
    by: str

    def users(self) -> Sequence[WebUser]:
        """Return all users, by name: those of the settings, and those of the database."""
        with self.process.database.read() as connection:
            stored = web_users.every(connection)
        of_settings = [user_of_settings(section) for section in self.process.settings.web.users]
        names = {user.name for user in of_settings}
        return sorted([*of_settings, *(user for user in stored if user.name not in names)], key=lambda user: user.name)

    def statuses(self) -> Sequence[UserStatus]:
        """Return all users with logins and sessions."""
        with self.process.database.read() as connection:
            logins = web_sessions.last_logins(connection)
        sessions = self.sessions()
        return [
            UserStatus(
                user=user,
                last_login=logins.get(user.name),
                sessions=tuple(session for session in sessions if session.user_name == user.name),
            )
            for user in self.users()
        ]

    def user(self, name: str) -> WebUser:
        """Return a user; raise UserProblem if there is none of this name."""
        user = next((user for user in self.users() if user.name == name), None)
        if user is None:
            raise UserProblem(f"there is no user {name!r}; `cxr-node user list` shows all")
        return user

    def add(self, name: str, password: str, permissions: Permissions) -> None:
        """Add a user.

        Raises
        ------
        UserProblem
            If the name is not allowed or not new, or the password is refused.
        """
        if not re.fullmatch(USER_NAME, name):
            raise UserProblem(f"{name!r} is no user name; expected 1 to 64 letters, digits, or any of . _ - @")
        same = next((user.name for user in self.users() if user.name.casefold() == name.casefold()), None)
        if same is not None:
            raise UserProblem(f"there is a user {same!r} already; choose another name")
        user = WebUser(name=name, password_hash=self._hash(name, password), permissions=permissions, created_by=self.by)
        with self.process.database.write() as transaction:
            web_users.add(transaction, user, now=self.process.clock())
        self._record(f"user {name} added: {permissions}", name)

    def set_password(self, name: str, password: str) -> None:
        """Set the password of a user, whose sessions end; raise UserProblem as `add` does."""
        self._stored(name)
        password_hash = self._hash(name, password)
        with self.process.database.write() as transaction:
            web_users.set_password(transaction, name, password_hash, now=self.process.clock())
            self._end_sessions(transaction, name)
        self._record(f"password of user {name} changed", name)

    def set_permissions(self, name: str, permissions: Permissions) -> None:
        """Set the permissions of a user, whose sessions end."""
        user = self._stored(name)
        if user.permissions == permissions:
            return
        with self.process.database.write() as transaction:
            web_users.set_permissions(transaction, name, permissions)
            self._end_sessions(transaction, name)
        what = f"permissions of user {name} changed: {permissions}; before: {user.permissions}"
        self._record(what, name, kind=events.SECURITY_ROLES_CHANGED)

    def lock(self, name: str) -> None:
        """Refuse logins of a user until `unlock`; sessions end."""
        self._stored(name)
        now = self.process.clock()
        with self.process.database.write() as transaction:
            web_users.set_locked(transaction, name, now)
            self._end_sessions(transaction, name)
        self._record(f"user {name} locked", name)

    def unlock(self, name: str) -> None:
        """Accept logins of a user again."""
        self._stored(name)
        with self.process.database.write() as transaction:
            web_users.set_locked(transaction, name, None)
        self._record(f"user {name} unlocked", name)

    def sessions(self, name: str | None = None) -> Sequence[Session]:
        """Return the open sessions, the newest first: of all people, or of one."""
        with self.process.database.read() as connection:
            return web_sessions.open_sessions(connection, now=self.process.clock(), user_name=name)

    def end_sessions(self, name: str) -> int:
        """End every session of a person, who may be of the settings or of a provider; return their number."""
        with self.process.database.write() as transaction:
            ended = self._end_sessions(transaction, name)
        if ended:
            self._record(f"{ended} sessions of {name} ended", name)
        return ended

    def end_session(self, session_id: int) -> None:
        """End one session; raise UserProblem if there is no such open session."""
        session = next((session for session in self.sessions() if session.session_id == session_id), None)
        if session is None:
            raise UserProblem("there is no such session, or it has ended")
        with self.process.database.write() as transaction:
            web_sessions.end_by_number(transaction, session_id, now=self.process.clock())
        self._record(f"a session of {session.user_name} from {session.address} ended", session.user_name)

    def _stored(self, name: str) -> WebUser:
        user = self.user(name)
        if user.is_of_settings:
            raise UserProblem(f"user {name} is defined by [[web.users]] of the settings file: change it there")
        return user

    def _hash(self, name: str, password: str) -> str:
        minimum = self.process.settings.web.minimum_password_characters
        if fault := password_fault(password, user_name=name, minimum_characters=minimum):
            raise UserProblem(fault)
        return str(PasswordHash.from_password(password, salt=secrets.token_bytes(16)))

    def _end_sessions(self, transaction: Transaction, name: str) -> int:
        return web_sessions.end_of_user(transaction, name, now=self.process.clock())

    def _record(self, what: str, name: str, *, kind: Code = events.USER_SECURITY_ATTRIBUTES_CHANGED) -> None:
        operator_log.record(self.process, what, subject=f"users/{name}", by=self.by, kind=kind)


def user_of_settings(section: PageUserSection) -> WebUser:
    """Return a user of [[web.users]]."""
    return WebUser(
        name=section.name,
        password_hash=section.password_hash.get_secret_value(),
        permissions=Permissions(
            role=section.role, sees_films=section.sees_films, sees_identifiers=section.sees_identifiers
        ),
    )
