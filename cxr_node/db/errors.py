"""Errors of the database: it is unavailable, damaged, or not the one that the kept films are recorded in."""

from cxr_node.domain.errors import RetryLater


class DatabaseUnavailable(RetryLater):
    """The database is locked, restarting or unreachable; the transaction is rolled back."""


class Deadlock(DatabaseUnavailable):
    """Transactions waited for each other, and this one was rolled back; it may succeed at once."""

    def __init__(self) -> None:
        super().__init__("database unavailable: transactions waited for each other")


class StatementTimeout(DatabaseUnavailable):
    """A read-only statement was ended after its time-out: a narrower query may succeed."""

    def __init__(self) -> None:
        super().__init__("the query took longer than it may")


class DatabaseDamaged(DatabaseUnavailable):
    """The database file is damaged."""

    def __init__(self) -> None:
        super().__init__(
            "the database is damaged: stop the node, keep a copy of the database, and restore a backup; or move the "
            "database away and run `cxr-node adopt`, which reads the kept films into a new one"
        )


class WrongDatabase(DatabaseUnavailable):
    """The database is not the one that the kept films are recorded in: a film in it may have no row tomorrow."""
