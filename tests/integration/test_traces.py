"""Traces: the OTLP protocol of a real collector, a node with a fixed clock, an unreachable collector."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import VerificationRule
from cxr_node.domain.commitment import CommitmentResult, Reference
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity
from cxr_node.ops import tracing
from cxr_node.ops.tracing import TraceExporter
from cxr_node.receive.sender import association_name
from cxr_node.settings.root import Settings
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.otlp_collector import Collector, collector
from tests.support.queue import SENDER
from tests.support.web import reject

pytestmark = pytest.mark.ci_on_postgresql

STEPS = ("accept", "read", "compose", "deliver", "confirm")


@dataclass(slots=True)
class StubVerifier:
    """Storage commitment that succeeds at once."""

    times: int = 0

    def verify(self, transaction_uid: Uid, identity: Identity, *, digest: Digest) -> CommitmentResult | None:  # noqa: ARG002  # its signature
        self.times += 1
        reference = Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)
        return CommitmentResult(transaction_uid=transaction_uid, committed=(reference,), failed=())


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path, verification=VerificationRule(verifier=StubVerifier(), retry_after_s=60))


@pytest.fixture
def exporter(node: InProcessNode, received: Collector, tmp_path: Path) -> Iterator[TraceExporter]:
    settings = Settings.model_validate(
        {
            "node": {"data_folder": tmp_path, "name": "ward-3"},
            "trace": {"endpoint": received.endpoint, "headers": ["Authorization=Bearer x"], "timeout_s": 1},
        }
    )
    with tracing.trace_exporter(settings, node.database, clock=node.clock) as running:
        running.export_ended()  # earlier events are not exported
        yield running


def settle(node: InProcessNode) -> None:
    node.clock.advance(seconds=10)


def test_film_is_one_trace_from_acceptance_to_commitment(
    node: InProcessNode, exporter: TraceExporter, received: Collector
) -> None:
    node.accept(films.dx())
    node.work()
    settle(node)

    assert exporter.export_ended() == 5

    spans = received.by_name()
    assert set(spans) == set(STEPS)
    assert len({span.trace_id for span in spans.values()}) == 1
    assert spans["accept"].parent_span_id == b""
    for before, name in pairwise(STEPS):
        assert spans[name].parent_span_id == spans[before].span_id, name
        assert spans[name].start_time_unix_nano >= spans[before].end_time_unix_nano, name
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans.values())
    assert [spans[name].kind for name in STEPS] == [
        Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT,
        Span.SPAN_KIND_CLIENT,
    ]  # fmt: skip
    assert "ward-3" in received.services
    assert set(received.headers) == {"Bearer x"}
    assert exporter.export_ended() == 0


def test_spans_lead_to_no_patient(node: InProcessNode, exporter: TraceExporter, received: Collector) -> None:
    film = films.dx()
    node.accept(film)
    node.work()
    settle(node)
    exporter.export_ended()

    text = " ".join(str(span) for span in received.spans)

    for secret in (film.PatientName, film.PatientID, film.StudyInstanceUID, film.SOPInstanceUID, film.AccessionNumber):
        assert str(secret) not in text
    assert "2.25." not in text
    names = {attribute.key.removeprefix("cxr_node.") for span in received.spans for attribute in span.attributes}
    assert names == {"job", "study", "film", "destination", "outcome", "dimse_status"}


def test_each_attempt_is_a_span_and_a_retry_is_no_error(
    node: InProcessNode, exporter: TraceExporter, received: Collector
) -> None:
    def away() -> None:
        raise RetryLater("pacs is away")

    node.pacs.before_send = away
    node.accept(films.dx())
    node.work()
    node.pacs.before_send = lambda: None
    node.clock.advance(hours=2)
    node.work()
    settle(node)
    exporter.export_ended()

    sent = [span for span in received.spans if span.name == "deliver"]
    outcomes = [
        attribute.value.string_value
        for span in sent
        for attribute in span.attributes
        if attribute.key.endswith("outcome")
    ]
    assert outcomes == ["retry", "retry"], "the first failed, the second awaits commitment"
    assert len({span.span_id for span in sent}) == 2
    assert len({span.parent_span_id for span in sent}) == 1
    assert all(span.status.code == Status.STATUS_CODE_OK for span in received.spans)


def test_failed_job_is_an_error_span(node: InProcessNode, exporter: TraceExporter, received: Collector) -> None:
    node.pacs.before_send = reject
    node.accept(films.dx())
    node.work()
    settle(node)
    exporter.export_ended()

    assert received.by_name()["deliver"].status.code == Status.STATUS_CODE_ERROR


def test_films_of_a_study_are_one_trace(node: InProcessNode, exporter: TraceExporter, received: Collector) -> None:
    for seed in (0, 1):
        node.accept(films.dx(seed=seed, changes={"StudyInstanceUID": films.dx().StudyInstanceUID}))
    node.work()
    settle(node)
    exporter.export_ended()

    assert len({span.trace_id for span in received.spans}) == 1
    accepted = [span for span in received.spans if span.name == "accept"]
    assert [span.parent_span_id for span in accepted] == [b"", accepted[0].span_id]


def test_unreachable_collector_delays_nothing_and_gets_spans_later(
    node: InProcessNode, exporter: TraceExporter, received: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    received.status = 503
    node.accept(films.dx())
    node.work()
    settle(node)

    assert (exporter.export_ended(), exporter.export_ended(), received.spans) == (0, 0, [])
    assert len(node.pacs.received) == 1
    assert sum("trace collector is unreachable" in record.message for record in caplog.records) == 1
    received.status = 200
    assert (exporter.export_ended(), len(received.spans)) == (5, 5)


def test_silent_collector_delays_nothing(node: InProcessNode, exporter: TraceExporter, received: Collector) -> None:
    received.may_respond.clear()
    node.accept(films.dx())
    node.turn(Stage.READ)
    settle(node)
    assert exporter.export_ended() == 0

    node.work()

    assert len(node.pacs.received) == 1


def test_attempt_is_exported_when_it_has_ended(
    node: InProcessNode, exporter: TraceExporter, received: Collector
) -> None:
    node.accept(films.dx())
    settle(node)
    exporter.export_ended()
    assert set(received.by_name()) == {"accept"}
    node.work()
    settle(node)
    exporter.export_ended()

    assert set(received.by_name()) == set(STEPS)


def test_tracing_is_not_imported_unless_configured() -> None:
    listed = "import sys, cxr_node.web.server, cxr_node.wiring.roles; print(*sys.modules)"
    text = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)

    loaded = text.stdout.split()
    assert "cxr_node.web.server" in loaded
    # Another library imports the OpenTelemetry API; the SDK creates and exports spans.
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "joserfc"))]


def test_accept_span_starts_with_its_association(
    node: InProcessNode, exporter: TraceExporter, received: Collector
) -> None:
    opened = node.clock.now
    sender = replace(SENDER, association=association_name(opened))
    node.clock.advance(seconds=3)
    node.accept(films.dx(), sender=sender)
    settle(node)
    exporter.export_ended()

    accept = received.by_name()["accept"]
    assert accept.end_time_unix_nano - accept.start_time_unix_nano == 3_000_000_000
    assert accept.start_time_unix_nano == round(opened.timestamp() * 1e6) * 1000
