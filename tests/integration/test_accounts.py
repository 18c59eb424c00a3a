"""Rows of users and sessions of the page, on both databases."""

from datetime import timedelta

import pytest

from cxr_node.db.database import Database
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.records import web_sessions, web_users
from cxr_node.records.web_users import WebUser
from tests.support.queue import NOON

pytestmark = pytest.mark.ci_on_postgresql


HASH, OTHER_HASH = "scrypt:1", "scrypt:2"
DAY = timedelta(days=1)


def start(database: Database, token: str, *, name: str = "kim", days: float = 1) -> None:
    with database.write() as transaction:
        web_sessions.start(transaction, token, user_name=name, address="192.0.2.1", now=NOON, until=NOON + days * DAY)


def is_open(database: Database, token: str, *, days: float = 0) -> bool:
    with database.read() as connection:
        return web_sessions.open_session(connection, token, now=NOON + days * DAY) is not None


def test_a_user_is_stored_with_permissions_and_times(database: Database) -> None:
    permissions = Permissions(role=PageRole.OPERATOR, sees_films=True)
    kim = WebUser(name="kim", password_hash=HASH, permissions=permissions, created_by="person/root")
    with database.write() as transaction:
        web_users.add(transaction, kim, now=NOON)
        web_users.set_password(transaction, "kim", OTHER_HASH, now=NOON + DAY)
        web_users.set_permissions(transaction, "kim", Permissions())
    with database.read() as connection:
        stored = web_users.find(connection, "kim")
        assert web_users.find(connection, "lee") is None
        assert (web_users.every(connection), web_users.count(connection)) == ([stored], 1)

    assert stored == WebUser(
        name="kim",
        password_hash=OTHER_HASH,
        permissions=Permissions(),
        created_at=NOON,
        created_by="person/root",
        password_changed_at=NOON + DAY,
    )
    assert "scrypt" not in repr(stored)


def test_a_locked_user_does_not_count(database: Database) -> None:
    with database.write() as transaction:
        kim = WebUser(name="kim", password_hash=HASH, permissions=Permissions())
        web_users.add(transaction, kim, now=NOON)
        web_users.set_locked(transaction, "kim", NOON)
    with database.read() as connection:
        assert web_users.count(connection) == 0


def test_a_session_is_open_until_it_expires_or_is_ended(database: Database) -> None:
    for token in ("one", "two", "three"):
        start(database, token)
    start(database, "other", name="lee")
    assert is_open(database, "one")
    assert not is_open(database, "one", days=1)
    assert not is_open(database, "unknown")

    with database.write() as transaction:
        web_sessions.end(transaction, "one", now=NOON)
        assert web_sessions.end_of_user(transaction, "kim", now=NOON) == 2
    with database.read() as connection:
        (session,) = web_sessions.open_sessions(connection, now=NOON)
        assert web_sessions.open_sessions(connection, now=NOON, user_name="kim") == []
        assert web_sessions.last_logins(connection) == {"kim": NOON, "lee": NOON}

    assert (session.user_name, session.address) == ("lee", "192.0.2.1")


def test_old_sessions_are_removed_at_a_later_login(database: Database) -> None:
    start(database, "old", days=-31)
    start(database, "new", name="lee")

    with database.read() as connection:
        assert set(web_sessions.last_logins(connection)) == {"lee"}
