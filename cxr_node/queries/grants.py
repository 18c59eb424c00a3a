"""A role of PostgreSQL that may read the views, and nothing else."""

from sqlalchemy import Connection, text

from cxr_node.db.engine import READ_ONLY_SETTINGS
from cxr_node.queries.views.registry import VIEWS


def statements(connection: Connection, role: str, *, at_most_s: int) -> list[str]:
    """Return the SQL that lets an existing role read the views: no tables, no writing, no statement without end."""
    quote = connection.dialect.identifier_preparer.quote
    who, where = quote(role), quote(str(connection.engine.url.database))
    return [
        f"GRANT CONNECT ON DATABASE {where} TO {who}",
        f"GRANT USAGE ON SCHEMA public TO {who}",
        f"GRANT SELECT ON {', '.join(VIEWS)} TO {who}",
        f"ALTER ROLE {who} IN DATABASE {where} SET default_transaction_read_only = on",
        f"ALTER ROLE {who} IN DATABASE {where} SET statement_timeout = '{at_most_s}s'",
        f"ALTER ROLE {who} IN DATABASE {where} SET idle_in_transaction_session_timeout = '{at_most_s}s'",
        *(f"ALTER ROLE {who} IN DATABASE {where} SET {name} = '{value}'" for name, value in READ_ONLY_SETTINGS.items()),
    ]


def exists(connection: Connection, role: str) -> bool:
    """Whether there is a role of this name."""
    return connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first() is not None


def run(connection: Connection, granting: list[str]) -> None:
    """Run statements of `statements`."""
    for statement in granting:
        connection.execute(text(statement))
