"""Users of the web page in the database."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Row, func, insert, select, update

from cxr_node.db.account_tables import web_user
from cxr_node.db.database import Transaction
from cxr_node.domain.permissions import PageRole, Permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class WebUser:
    """A user of the page. Those of the settings have no times."""

    name: str
    password_hash: str = field(repr=False)
    permissions: Permissions
    created_at: datetime | None = None
    created_by: str = ""
    password_changed_at: datetime | None = None
    locked_at: datetime | None = None

    @property
    def is_of_settings(self) -> bool:
        """Whether the settings file defines the user, not the database."""
        return self.created_at is None


def find(connection: Connection, name: str) -> WebUser | None:
    """Return the user of this name."""
    row = connection.execute(select(web_user).where(web_user.c.name == name)).first()
    return None if row is None else _user(row)


def every(connection: Connection) -> Sequence[WebUser]:
    """Return all users, by name."""
    return [_user(row) for row in connection.execute(select(web_user).order_by(web_user.c.name))]


def count(connection: Connection) -> int:
    """Return the number of users who are not locked."""
    return connection.execute(select(func.count()).where(web_user.c.locked_at.is_(None))).scalar_one()


def add(transaction: Transaction, user: WebUser, *, now: datetime) -> None:
    """Add a user; the name must be new."""
    values = {
        "name": user.name,
        "password_hash": user.password_hash,
        "role": user.permissions.role,
        "sees_films": user.permissions.sees_films,
        "sees_identifiers": user.permissions.sees_identifiers,
        "created_at": now,
        "created_by": user.created_by,
        "password_changed_at": now,
    }
    transaction.connection.execute(insert(web_user).values(values))


def set_password(transaction: Transaction, name: str, password_hash: str, *, now: datetime) -> None:
    """Set the password of a user."""
    _change(transaction, name, password_hash=password_hash, password_changed_at=now)


def set_permissions(transaction: Transaction, name: str, permissions: Permissions) -> None:
    """Set the permissions of a user."""
    _change(transaction, name, **asdict(permissions))


def set_locked(transaction: Transaction, name: str, locked_at: datetime | None) -> None:
    """Lock a user, or with None unlock."""
    _change(transaction, name, locked_at=locked_at)


def _change(transaction: Transaction, name: str, **values: object) -> None:
    transaction.connection.execute(update(web_user).where(web_user.c.name == name).values(values))


def _user(row: Row[tuple[object, ...]]) -> WebUser:
    return WebUser(
        name=row.name,
        password_hash=row.password_hash,
        permissions=Permissions(
            role=PageRole(row.role), sees_films=row.sees_films, sees_identifiers=row.sees_identifiers
        ),
        created_at=row.created_at,
        created_by=row.created_by,
        password_changed_at=row.password_changed_at,
        locked_at=row.locked_at,
    )
