"""Database URL: which database it names, and its forms without password and without write access.

SQLAlchemy is imported when a URL is parsed: the settings of a node on SQLite have none.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def is_url(url: str) -> bool:
    """Whether the text is a database URL."""
    from sqlalchemy.exc import ArgumentError

    try:
        _parsed(url)
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        return False
    return True


def is_postgresql(url: str) -> bool:
    """Whether the URL names a PostgreSQL database; other databases are SQLite."""
    return _parsed(url).get_backend_name() == "postgresql"


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database; None for PostgreSQL and for a database in memory."""
    parsed = _parsed(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


_SHOWN = frozenset(
    ["host", "hostaddr", "port", "user", "dbname", "sslmode", "connect_timeout", "application_name", "mode", "uri"]
)
"""Parameters of a URL whose values are no secrets."""


def without_password(url: str) -> str:
    """Return the URL with the password masked, and with it the value of each parameter that may be one."""
    parsed = _parsed(url)
    query = {name: value if name in _SHOWN else "***" for name, value in parsed.query.items()}
    return parsed.set(query=query).render_as_string().replace("%2A%2A%2A", "***")


def with_password(url: str, password: str) -> str:
    """Return the URL with this password."""
    return _parsed(url).set(password=password).render_as_string(hide_password=False)


def split_password(url: str) -> tuple[str, str]:
    """Return the URL without its password, and the password, empty if it has none."""
    parsed = _parsed(url)
    password = str(parsed.password or "")
    return parsed._replace(password=None).render_as_string(hide_password=False), password


def read_only_url(url: str) -> str:
    """Return the URL that opens a SQLite file without write access; other URLs are returned unchanged."""
    file = sqlite_file(url)
    if file is None:
        return url
    read_only = _parsed(url).set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
    return read_only.render_as_string(hide_password=False)


def _parsed(url: str) -> "URL":
    from sqlalchemy.engine import make_url

    return make_url(url)
