"""API tokens: stored by their digest, valid until they expire or are revoked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, insert, select, update

from cxr_node.db.account_tables import api_token
from cxr_node.db.database import Database, Transaction
from cxr_node.domain.permissions import PageRole, Permissions

_USE_INTERVAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token, without the secret itself, which is not stored."""

    name: str
    permissions: Permissions
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the token is accepted."""
        return self.revoked_at is None and now < self.expires_at


def find(connection: Connection, secret: str) -> ApiToken | None:
    """Return the token of a secret, also if it has expired or was revoked; None if there is none."""
    row = connection.execute(select(api_token).where(api_token.c.token_digest == _digest(secret))).first()
    return None if row is None else _token(row)


def every(connection: Connection) -> Sequence[ApiToken]:
    """Return all tokens, the newest first."""
    return [_token(row) for row in connection.execute(select(api_token).order_by(api_token.c.id.desc()))]


def add(transaction: Transaction, token: ApiToken, secret: str) -> None:
    """Store a token; its name must be new."""
    values = {
        "name": token.name,
        "token_digest": _digest(secret),
        "role": token.permissions.role,
        "sees_films": token.permissions.sees_films,
        "sees_identifiers": token.permissions.sees_identifiers,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
    }
    transaction.connection.execute(insert(api_token).values(values))


def revoke(transaction: Transaction, name: str, *, now: datetime) -> None:
    """Revoke a token."""
    _change(transaction, name, revoked_at=now)


def find_valid(database: Database, secret: str, *, now: datetime) -> ApiToken | None:
    """Return the token of a secret; None if there is none, or it has expired or was revoked."""
    with database.read() as connection:
        token = find(connection, secret)
    return token if token is not None and token.is_valid(now) else None


def note_use(database: Database, token: ApiToken, *, now: datetime) -> bool:
    """Record that a token was used, once an hour; return whether this use was recorded."""
    if token.last_used_at is not None and now - token.last_used_at < _USE_INTERVAL:
        return False
    with database.write() as transaction:
        _change(transaction, token.name, last_used_at=now)
    return True


def _change(transaction: Transaction, name: str, **values: object) -> None:
    transaction.connection.execute(update(api_token).where(api_token.c.name == name).values(values))


def _digest(secret: str) -> str:
    # A random secret of 256 bits needs no slow hash.
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[tuple[object, ...]]) -> ApiToken:
    return ApiToken(
        name=row.name,
        permissions=Permissions(
            role=PageRole(row.role), sees_films=row.sees_films, sees_identifiers=row.sees_identifiers
        ),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
