"""Sessions at the web page: open, ended by a person, or expired."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from cxr_node.db.account_tables import web_session
from cxr_node.db.database import Transaction

_KEPT = timedelta(days=30)
"""Time after its expiry for which a session is kept, for the time of the last login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has not ended."""

    session_id: int
    user_name: str
    address: str
    started_at: datetime
    expires_at: datetime


def start(
    transaction: Transaction, token: str, *, user_name: str, address: str, now: datetime, until: datetime
) -> None:
    """Record a session; the token itself is not stored. Old sessions are removed."""
    connection = transaction.connection
    connection.execute(delete(web_session).where(web_session.c.expires_at < now - _KEPT))
    values = {
        "user_name": user_name,
        "token_digest": _digest(token),
        "address": address,
        "started_at": now,
        "expires_at": until,
    }
    connection.execute(insert(web_session).values(values))


def open_session(connection: Connection, token: str, *, now: datetime) -> Session | None:
    """Return the session of a token; None if there is none, or it has ended or expired."""
    sessions = _open(connection, now, web_session.c.token_digest == _digest(token))
    return sessions[0] if sessions else None


def open_sessions(connection: Connection, *, now: datetime, user_name: str | None = None) -> Sequence[Session]:
    """Return the sessions that have not ended, the newest first; with `user_name` only those of a user."""
    return _open(connection, now, *([] if user_name is None else [web_session.c.user_name == user_name]))


def last_logins(connection: Connection) -> Mapping[str, datetime]:
    """Return the time of the last login by user name, for logins of the last weeks."""
    latest = select(web_session.c.user_name, func.max(web_session.c.started_at)).group_by(web_session.c.user_name)
    return {row[0]: row[1] for row in connection.execute(latest)}


def end(transaction: Transaction, token: str, *, now: datetime) -> None:
    """End the session of a token."""
    _end(transaction, now, web_session.c.token_digest == _digest(token))


def end_by_number(transaction: Transaction, session_id: int, *, now: datetime) -> None:
    """End a session."""
    _end(transaction, now, web_session.c.id == session_id)


def end_of_user(transaction: Transaction, user_name: str, *, now: datetime) -> int:
    """End every session of a user; return their number."""
    return _end(transaction, now, web_session.c.user_name == user_name)


def _open(connection: Connection, now: datetime, *conditions: ColumnElement[bool]) -> Sequence[Session]:
    rows = connection.execute(
        select(web_session)
        .where(web_session.c.ended_at.is_(None), web_session.c.expires_at > now, *conditions)
        .order_by(web_session.c.id.desc())
    )
    return [
        Session(
            session_id=row.id,
            user_name=row.user_name,
            address=row.address,
            started_at=row.started_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]


def _end(transaction: Transaction, now: datetime, condition: ColumnElement[bool]) -> int:
    is_open = (web_session.c.ended_at.is_(None), web_session.c.expires_at > now)
    return transaction.connection.execute(update(web_session).where(condition, *is_open).values(ended_at=now)).rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
