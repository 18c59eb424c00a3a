"""Dependencies of requests: settings, databases, pictures, audit, trends."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request, status

from cxr_node.db.database import Connection, Database
from cxr_node.domain.clock import Clock
from cxr_node.ops import retries
from cxr_node.ops.health import Health, health
from cxr_node.process_pool.executor import Executor
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.tables.offered import offered_values
from cxr_node.queries.tables.table import Table
from cxr_node.queries.trends import Row, trends
from cxr_node.settings.root import Settings
from cxr_node.web.access_audit import AccessAudit
from cxr_node.web.charts import charts_of
from cxr_node.web.pictures import Pictures
from cxr_node.wiring.process import Process

STATEMENT_TIMEOUT_S = 10.0
"""Time after which a query of a page is ended."""
_CACHE_S = 60.0
_HEALTH_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """Shared by all requests of the process."""

    process: Process
    read_database: Database
    pictures: Pictures
    access_audit: AccessAudit
    trends: "Trends"
    health: "LatestHealth"
    offered: "OfferedValues"
    lessons: Executor[Any]
    """Computes films of the phantom of the page /learn."""
    result_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def settings(self) -> Settings:
        """The settings of the node."""
        return self.process.settings

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open one read-only transaction."""
        with self.read_database.read() as connection:
            yield connection

    def retry(self, job_ids: Sequence[int], *, by: str) -> list[int]:
        """Queue ended jobs again; return the numbers of those that had ended."""
        return retries.retry(self.process, job_ids, by=by)


class Trends:
    """Cache of trends, at most a minute old: the query visits every film of its days."""

    def __init__(self, database: Database, *, now: Clock, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._clock = clock
        self._cache: dict[tuple[int, str], tuple[float, Row]] = {}
        self._lock = threading.Lock()

    def for_days(self, days: int, by: GroupBy) -> Row:
        """Return the trends of the last `days` days by group."""
        return self._latest(days, by, partial(trends, days=days, by=by))

    def charts(self, days: int) -> Row:
        """Return the charts of the last `days` days."""
        return self._latest(days, "charts", partial(charts_of, days=days))

    def _latest(self, days: int, name: str, find: Callable[..., Row]) -> Row:
        with self._lock:
            cached_at, latest = self._cache.get((days, name), (self._clock() - _CACHE_S, {}))
            if self._clock() - cached_at >= _CACHE_S:
                with self._database.read() as connection:
                    latest = find(connection, now=self._now())
                self._cache[days, name] = (self._clock(), latest)
            return latest


class LatestHealth:
    """Cache of the state of the node, at most three seconds old: every open page asks for it."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        database: Database,
        *,
        now: Clock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._now = now
        self._clock = clock
        self._latest: tuple[float, Health] | None = None
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Find the state anew at the next request: a person has just changed it."""
        with self._lock:
            self._latest = None

    def latest(self) -> Health:
        """Return the state of the node."""
        with self._lock:
            if self._latest is None or self._clock() - self._latest[0] >= _HEALTH_S:
                self._latest = (self._clock(), health(self._settings(), self._database, now=self._now()))
            return self._latest[1]


class OfferedValues:
    """Cache of the values that tables offer to choose from, at most a minute old."""

    def __init__(self, *, now: Clock, clock: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._clock = clock
        self._cache: dict[str, tuple[float, dict[str, list[str]]]] = {}
        self._lock = threading.Lock()

    def of_table(self, connection: Connection, table: Table) -> dict[str, list[str]]:
        """Return the values of a table, by column."""
        with self._lock:
            cached_at, values = self._cache.get(table.name, (self._clock() - _CACHE_S, {}))
            if self._clock() - cached_at >= _CACHE_S:
                values = offered_values(connection, table, now=self._now())
                self._cache[table.name] = (self._clock(), values)
            return values


def _context(request: Request) -> WebContext:
    context: WebContext = request.app.state.context
    return context


InContext = Annotated[WebContext, Depends(_context)]


T = TypeVar("T")


def or_404(value: T | None, what: str) -> T:
    """Return the value, or respond 404 if it is None."""
    if value is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no such {what}")
    return value
