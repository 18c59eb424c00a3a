"""OpenTelemetry traces: each study as spans, exported by OTLP from job events in the database.

The main path does not depend on the export: an unreachable or slow collector delays no film.
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
from cxr_node.domain.files import replace_whole
from cxr_node.domain.secret import SecretText
from cxr_node.queries import attempts
from cxr_node.queries.attempts import Attempt, Step
from cxr_node.settings.root import Settings

_log = logging.getLogger(__name__)

_BATCH_EVENTS = 500
_SETTLE_TIME = timedelta(seconds=2)
"""Newer events wait for the next export: a transaction with earlier events may not be committed yet."""
_MAX_BACKLOG = 100_000
"""Backlog in events after which the oldest are skipped."""
_ERROR_OUTCOMES = frozenset({Event.GAVE_UP, Event.LEASE_LOST})
_KINDS = {Step.ACCEPT: SpanKind.SERVER, Step.DELIVER: SpanKind.CLIENT, Step.CONFIRM: SpanKind.CLIENT}

Export = Callable[[Sequence[ReadableSpan]], bool]


def span(attempt: Attempt, resource: Resource) -> ReadableSpan:
    """Return an attempt as a span. Its ids are digests of the attempt, so an export repeated is no second span.

    Attributes are row numbers, names of settings and coded outcomes: no UID, no text from a film or peer.
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
        context=_context(attempt, attempt.step, attempt.span_mark),
        parent=None if attempt.after is None else _context(attempt, *attempt.after),
        resource=resource,
        attributes=attributes,
        kind=_KINDS.get(attempt.step, SpanKind.INTERNAL),
        status=Status(StatusCode.ERROR if attempt.outcome in _ERROR_OUTCOMES else StatusCode.OK),
        start_time=_nanoseconds(attempt.began_at),
        end_time=_nanoseconds(attempt.ended_at),
    )


class TraceExporter:
    """Exports attempts that ended since the last export; stores its position in a file."""

    def __init__(
        self, database: Database, cursor: Path, export: Export, resource: Resource, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._cursor = cursor
        self._export = export
        self._resource = resource
        self._clock = clock
        self._is_unreachable = False

    def export_ended(self) -> int:
        """Export all ended attempts until the collector rejects a batch; return the number of spans."""
        exported = 0
        try:
            while (count := self._export_batch()) is not None:
                exported += count
        except RetryLater as error:
            _log.warning("traces are not exported yet: %s", error)
        return exported

    def _export_batch(self) -> int | None:
        """Export the next batch; return its number of spans, None at the end or if the collector rejects it."""
        with self._database.read() as connection:
            since = self._position(attempts.last_event_id(connection))
            ended, upto = attempts.ended_after(
                connection, since, before=self._clock() - _SETTLE_TIME, limit=_BATCH_EVENTS
            )
        if upto == since or not self._export_spans(ended):
            return None
        replace_whole(self._cursor, str(upto).encode())
        return len(ended)

    def _export_spans(self, ended: Sequence[Attempt]) -> bool:
        is_exported = not ended or self._export([span(attempt, self._resource) for attempt in ended])
        if not is_exported and not self._is_unreachable:
            _log.warning("the trace collector is unreachable: traces are exported later")
        self._is_unreachable = not is_exported
        return is_exported

    def _position(self, last: int) -> int:
        """Return the last exported event; events before the very first export are skipped."""
        try:
            position = int(self._cursor.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            replace_whole(self._cursor, str(last).encode())
            return last
        return max(min(position, last), last - _MAX_BACKLOG)


@contextmanager
def trace_exporter(settings: Settings, reads: Database, *, clock: Callable[[], datetime]) -> Iterator[TraceExporter]:
    """Return the exporter to the collector of the settings, while the block lasts."""
    section = settings.trace
    exporter = OTLPSpanExporter(
        endpoint=section.endpoint.get_secret_value(), headers=_headers(section.headers), timeout=section.timeout_s
    )
    resource = Resource({"service.name": settings.node.name, "service.version": version("cxr-node")})
    # The library logs each attempt and response; the exporter logs once that the collector is unreachable.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def export(spans: Sequence[ReadableSpan]) -> bool:
        return exporter.export(spans) is SpanExportResult.SUCCESS

    cursor = settings.node.data_folder / "traces.cursor"
    try:
        yield TraceExporter(reads, cursor, export, resource, clock=clock)
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # the library has no type here


def _headers(lines: Sequence[SecretText]) -> dict[str, str]:
    pairs = (line.get_secret_value().partition("=") for line in lines)
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
