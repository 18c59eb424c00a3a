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
from cxr_node.domain.identifiers import Uid
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

WAY = ("accept", "read", "compose", "deliver", "confirm")


@dataclass(slots=True)
class Vouches:
    """An archive that vouches for what it is asked about, the second time."""

    times: int = 0

    def verify(self, transaction_uid: Uid, identity: Identity) -> CommitmentResult | None:
        self.times += 1
        kept = Reference(sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid)
        return CommitmentResult(transaction_uid=transaction_uid, committed=(kept,), failed=())


@pytest.fixture
def told() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path, confirmation=VerificationRule(verifier=Vouches(), retry_after_s=60))


@pytest.fixture
def teller(node: InProcessNode, told: Collector, tmp_path: Path) -> Iterator[TraceExporter]:
    settings = Settings.model_validate(
        {
            "node": {"data_folder": tmp_path, "name": "ward-3"},
            "trace": {"endpoint": told.endpoint, "headers": ["Authorization=Bearer x"], "timeout_s": 1},
        }
    )
    with tracing.trace_exporter(settings, node.database, clock=node.clock) as made:
        made.export_ended()  # what there was before it began is not told
        yield made


def settle(node: InProcessNode) -> None:
    node.clock.go(seconds=10)


def test_film_is_one_trace_from_acceptance_to_commitment(
    node: InProcessNode, teller: TraceExporter, told: Collector
) -> None:
    node.accept(films.dx())
    node.work()
    settle(node)

    assert teller.export_ended() == 5

    spans = told.by_name()
    assert set(spans) == set(WAY)
    assert len({span.trace_id for span in spans.values()}) == 1
    assert spans["accept"].parent_span_id == b""
    for before, name in pairwise(WAY):
        assert spans[name].parent_span_id == spans[before].span_id, name
        assert spans[name].start_time_unix_nano >= spans[before].end_time_unix_nano, name
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans.values())
    assert [spans[name].kind for name in WAY] == [
        Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT,
        Span.SPAN_KIND_CLIENT,
    ]  # fmt: skip
    assert "ward-3" in told.services
    assert set(told.headers) == {"Bearer x"}
    assert teller.export_ended() == 0


def test_spans_lead_to_no_patient(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    film = films.dx()
    node.accept(film)
    node.work()
    settle(node)
    teller.export_ended()

    said = " ".join(str(span) for span in told.spans)

    for secret in (film.PatientName, film.PatientID, film.StudyInstanceUID, film.SOPInstanceUID, film.AccessionNumber):
        assert str(secret) not in said
    assert "2.25." not in said
    names = {each.key.removeprefix("cxr_node.") for span in told.spans for each in span.attributes}
    assert names == {"job", "study", "film", "destination", "outcome", "dimse_status"}


def test_each_attempt_is_a_span_and_a_retry_is_no_error(
    node: InProcessNode, teller: TraceExporter, told: Collector
) -> None:
    def away() -> None:
        raise RetryLater("pacs is away")

    node.pacs.before = away
    node.accept(films.dx())
    node.work()
    node.pacs.before = lambda: None
    node.clock.go(hours=2)
    node.work()
    settle(node)
    teller.export_ended()

    sent = [span for span in told.spans if span.name == "deliver"]
    outcomes = [each.value.string_value for span in sent for each in span.attributes if each.key.endswith("outcome")]
    assert outcomes == ["retry", "retry"], "the first was not taken, the second is to be vouched for"
    assert len({span.span_id for span in sent}) == 2
    assert len({span.parent_span_id for span in sent}) == 1
    assert all(span.status.code == Status.STATUS_CODE_OK for span in told.spans)


def test_failed_job_is_an_error_span(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    node.pacs.before = reject
    node.accept(films.dx())
    node.work()
    settle(node)
    teller.export_ended()

    assert told.by_name()["deliver"].status.code == Status.STATUS_CODE_ERROR


def test_films_of_a_study_are_one_trace(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    for seed in (0, 1):
        node.accept(films.dx(seed=seed, changes={"StudyInstanceUID": films.dx().StudyInstanceUID}))
    node.work()
    settle(node)
    teller.export_ended()

    assert len({span.trace_id for span in told.spans}) == 1
    accepted = [span for span in told.spans if span.name == "accept"]
    assert [span.parent_span_id for span in accepted] == [b"", accepted[0].span_id]


def test_unreachable_collector_delays_nothing_and_gets_spans_later(
    node: InProcessNode, teller: TraceExporter, told: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    told.status = 503
    node.accept(films.dx())
    node.work()
    settle(node)

    assert (teller.export_ended(), teller.export_ended(), told.spans) == (0, 0, [])
    assert len(node.pacs.arrived) == 1
    assert sum("trace collector is unreachable" in record.message for record in caplog.records) == 1
    told.status = 200
    assert (teller.export_ended(), len(told.spans)) == (5, 5)


def test_silent_collector_delays_nothing(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    told.may_respond.clear()
    node.accept(films.dx())
    node.turn(Stage.READ)
    settle(node)
    assert teller.export_ended() == 0

    node.work()

    assert len(node.pacs.arrived) == 1


def test_attempt_is_exported_when_it_has_ended(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    node.accept(films.dx())
    settle(node)
    teller.export_ended()
    assert set(told.by_name()) == {"accept"}
    node.work()
    settle(node)
    teller.export_ended()

    assert set(told.by_name()) == set(WAY)


def test_tracing_is_not_imported_unless_configured() -> None:
    listed = "import sys, cxr_node.web.server, cxr_node.wiring.roles; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)

    loaded = said.stdout.split()
    assert "cxr_node.web.server" in loaded
    # Its interface of a few names is another library's; what makes and tells traces is its SDK.
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "joserfc"))]


def test_accept_span_starts_with_its_association(node: InProcessNode, teller: TraceExporter, told: Collector) -> None:
    opened = node.clock.now
    sender = replace(SENDER, association=association_name(opened))
    node.clock.go(seconds=3)
    node.accept(films.dx(), sender=sender)
    settle(node)
    teller.export_ended()

    accept = told.by_name()["accept"]
    assert accept.end_time_unix_nano - accept.start_time_unix_nano == 3_000_000_000
    assert accept.start_time_unix_nano == round(opened.timestamp() * 1e6) * 1000
