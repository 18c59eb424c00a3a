"""Grants of a PostgreSQL role that reads the views only."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from cxr_node.db.engine import READ_ONLY_SETTINGS
from cxr_node.queries.views.registry import VIEWS

_INSUFFICIENT_PRIVILEGE = "42501"
"""SQLSTATE of a statement that the role may not run."""


def statements(connection: Connection, role: str, *, timeout_s: int, with_identifiers: bool) -> list[str]:
    """Return the SQL that lets an existing role read the views, read-only and with a statement time-out.

    Views with identifiers are granted only `with_identifiers`; otherwise an earlier grant of them is revoked.
    """
    quote = connection.dialect.identifier_preparer.quote
    identifying = ", ".join(_views(holds_identifiers=True))
    grantee, database = quote(role), quote(str(connection.engine.url.database))
    return [
        f"GRANT CONNECT ON DATABASE {database} TO {grantee}",
        f"GRANT USAGE ON SCHEMA public TO {grantee}",
        f"GRANT SELECT ON {', '.join(_views(holds_identifiers=False))} TO {grantee}",
        f"GRANT SELECT ON {identifying} TO {grantee}"
        if with_identifiers
        else f"REVOKE ALL ON {identifying} FROM {grantee}",
        f"ALTER ROLE {grantee} IN DATABASE {database} SET default_transaction_read_only = on",
        f"ALTER ROLE {grantee} IN DATABASE {database} SET statement_timeout = '{timeout_s}s'",
        f"ALTER ROLE {grantee} IN DATABASE {database} SET idle_in_transaction_session_timeout = '{timeout_s}s'",
        *(
            f"ALTER ROLE {grantee} IN DATABASE {database} SET {name} = '{value}'"
            for name, value in READ_ONLY_SETTINGS.items()
        ),
    ]


def _views(*, holds_identifiers: bool) -> list[str]:
    return [name for name, view in VIEWS.items() if view.holds_identifiers is holds_identifiers]


def exists(connection: Connection, role: str) -> bool:
    """Whether the server has a role of this name."""
    return connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first() is not None


def run(connection: Connection, granting: list[str]) -> list[str]:
    """Run statements of `statements`; return those that the role of the connection has no privilege for.

    The owner of a database may grant; only a role with CREATEROLE may change the settings of another role.
    """
    denied = []
    for statement in granting:
        try:
            with connection.begin_nested():
                connection.execute(text(statement))
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") != _INSUFFICIENT_PRIVILEGE:
                raise
            denied.append(statement)
    return denied
