"""Traces: the way of each study as spans, told to a collector by OTLP after the fact, out of what the database knows.

Nothing on that way waits for it or knows of it: a collector that is away or slow holds no film.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from cxr_node.db.database import Database
from cxr_node.db.states import Event
from cxr_node.domain.errors import RetryLater
from cxr_node.queries import attempts
from cxr_node.queries.attempts import Attempt, Step
from cxr_node.settings.root import Settings
from cxr_node.work.scheduler import Schedule

_log = logging.getLogger(__name__)

_AT_ONCE = 500
_SETTLED = timedelta(seconds=2)
"""What is newer is told at the next turn: a transaction with earlier events may still be under way."""
_FORGOTTEN = 100_000
"""So many events behind a collector that was away, the oldest are left out."""
_WENT_WRONG = frozenset({Event.GAVE_UP, Event.LEASE_LOST})
_KINDS = {Step.ACCEPT: SpanKind.SERVER, Step.DELIVER: SpanKind.CLIENT, Step.CONFIRM: SpanKind.CLIENT}

Export = Callable[[Sequence[ReadableSpan]], bool]


def span(attempt: Attempt, resource: Resource) -> ReadableSpan:
    """Return an attempt as a span. Its numbers follow from what it is, so that one told twice is one.

    Attributes are numbers of rows, names of settings and coded outcomes: no UID, no text of a film or peer.
    """
    attributes: dict[str, str | int] = {
        "cxr_node.job": attempt.job_id,
        "cxr_node.study": attempt.study_id,
        "cxr_node.outcome": attempt.outcome.value,
    }
    optional = {
        "cxr_node.film": attempt.film_id,
        "cxr_node.destination": attempt.destination,
        "cxr_node.reason": attempt.reason,
        "cxr_node.dimse_status": None if attempt.status is None else f"0x{attempt.status:04X}",
    }
    attributes |= {name: value for name, value in optional.items() if value is not None}
    return ReadableSpan(
        name=attempt.step.value,
        context=_context(attempt, attempt.step, attempt.mark),
        parent=None if attempt.after is None else _context(attempt, *attempt.after),
        resource=resource,
        attributes=attributes,
        kind=_KINDS.get(attempt.step, SpanKind.INTERNAL),
        status=Status(StatusCode.ERROR if attempt.outcome in _WENT_WRONG else StatusCode.OK),
        start_time=_nanoseconds(attempt.began_at),
        end_time=_nanoseconds(attempt.ended_at),
    )


class Teller:
    """Tells a collector of what has ended since it was last told; remembers in a file how far it came."""

    def __init__(
        self, database: Database, cursor: Path, export: Export, resource: Resource, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._cursor = cursor
        self._export = export
        self._resource = resource
        self._clock = clock
        self._is_away = False

    def turn(self) -> int:
        """Tell what there is to tell, as far as the collector takes it; return how many spans that were."""
        told = 0
        try:
            while (count := self._some()) is not None:
                told += count
        except RetryLater as error:
            _log.warning("traces wait: %s", error)
        return told

    def _some(self) -> int | None:
        """Tell of the next events; return how many spans that made, None if there is nothing to go on with."""
        with self._database.read() as connection:
            since = self._told(attempts.last_event(connection))
            found, upto = attempts.after(connection, since, before=self._clock() - _SETTLED, limit=_AT_ONCE)
        if upto == since or not self._takes(found):
            return None
        self._cursor.write_text(str(upto), encoding="ascii")
        return len(found)

    def _takes(self, found: Sequence[Attempt]) -> bool:
        taken = not found or self._export([span(each, self._resource) for each in found])
        if not taken and not self._is_away:
            _log.warning("the collector of traces does not take them: they are told when it does")
        self._is_away = not taken
        return taken

    def _told(self, last: int) -> int:
        """Return the last event that was told; what was there before the first turn of all is not."""
        try:
            told = int(self._cursor.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            self._cursor.write_text(str(last), encoding="ascii")
            return last
        return max(min(told, last), last - _FORGOTTEN)


@contextmanager
def teller(settings: Settings, reads: Database, *, clock: Callable[[], datetime]) -> Iterator[Teller]:
    """Return what tells the collector of the settings, while the block lasts."""
    section = settings.trace
    exporter = OTLPSpanExporter(endpoint=section.endpoint, headers=_headers(section.headers), timeout=section.timeout_s)
    resource = Resource({"service.name": settings.node.name, "service.version": version("cxr-node")})
    # The library tells of each try and of what the collector answered; we tell once that it is away.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def export(spans: Sequence[ReadableSpan]) -> bool:
        return exporter.export(spans) is SpanExportResult.SUCCESS

    cursor = settings.node.data_folder / "traces.cursor"
    try:
        yield Teller(reads, cursor, export, resource, clock=clock)
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # the library has no type here


@contextmanager
def telling(settings: Settings, reads: Database, *, clock: Callable[[], datetime]) -> Iterator[None]:
    """Tell the collector of the settings while the block lasts."""
    with (
        teller(settings, reads, clock=clock) as made,
        Schedule(made.turn, tick_s=settings.trace.every_s),
    ):
        yield


def _headers(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _context(attempt: Attempt, step: Step, mark: int) -> SpanContext:
    trace = _number(f"trace of {attempt.study_instance_uid}", 16)
    return SpanContext(
        trace_id=trace,
        span_id=_number(f"{trace} {step} {mark}", 8),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _number(text: str, size_bytes: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size_bytes], "big")


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
