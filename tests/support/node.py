"""In-process node of tests: real database, archive, pixels and reports, with a stub network and fake destination."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from cxr_node import pipeline
from cxr_node.archive.folder import FolderArchive
from cxr_node.composing.context import CharacterSets, ComposeContext
from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.composing.route import Route
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import Destination, Receipt, VerificationRule
from cxr_node.deliver.held_associations import HeldAssociations
from cxr_node.deliver.notification_rules import NotificationRule
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.routing import Condition
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.identifiers import digest_of, parse_uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import Finding, Measurement, Point, Prediction, Region
from cxr_node.infer.card import RatioTable
from cxr_node.infer.findings import cardiomegaly
from cxr_node.process_pool.executor import Executor, InProcess
from cxr_node.queue.retry import RULES as RETRY_RULES
from cxr_node.queue.retry import RetryRule
from cxr_node.reading.context import ReadContext, ReadRules
from cxr_node.reading.network import Network, Outputs, Watchdog
from cxr_node.receive.identify import identify_with_values
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import Observer
from cxr_node.simulators import node
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.work.handler import ONE_JOB, Batching, Handler
from cxr_node.work.handlers.commitment import CommitmentHandler
from cxr_node.work.handlers.compose import ComposeHandler
from cxr_node.work.handlers.deliver import DeliverHandler
from cxr_node.work.handlers.read import ReadHandler
from cxr_node.work.shared_lock import SharedLock
from cxr_node.work.study_window import StudyWindow
from cxr_node.work.worker import Worker
from tests.support.films import data_set_offset
from tests.support.queue import LEASE, NOON, SENDER
from tests.support.stub_prediction import RULES, prediction

QUIET_S = 2.0
MAX_WAIT_S = 300.0
CRASH_LIMIT = 2
LAST_ATTEMPT = 3
ANY = Condition()
OWNER = "node/test/1"
PEER = "PACS@pacs:104"
ATTRIBUTE_RULES = AttributeRules(character_sets={})


@dataclass(slots=True)
class StubNetwork:
    """Network whose predictions are those of `answer`; its tensors are indices of films."""

    answer: Callable[[Sequence[Radiograph]], tuple[Prediction, ...]] = prediction
    calls: int = 0
    outlines_anatomy: bool = True
    ratio_table: RatioTable | None = None
    _films: list[Radiograph] = field(default_factory=list)
    _predictions: dict[int, Prediction] = field(default_factory=dict)

    @property
    def adapter(self) -> "StubNetwork":
        """Itself."""
        return self

    def preprocess(self, film: Radiograph) -> Float32:
        """Return the index of a film."""
        self._films.append(film)
        return np.array([[len(self._films) - 1]], np.float32)

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Compute the predictions of a batch."""
        self.calls += 1
        numbers = [int(array[0, 0]) for array in batch]
        self._predictions.update(zip(numbers, self.answer([self._films[n] for n in numbers]), strict=True))
        return [{"film": array} for array in batch]

    def decode_appearance(self, outputs: Outputs) -> None:
        """Return none: no film is tried turned."""

    def decode_outputs(self, geometry: Geometry, outputs: Outputs) -> Prediction:  # noqa: ARG002
        """Return the prediction of a film."""
        return self._predictions[int(outputs["film"][0, 0])]

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:
        """Return cardiomegaly by the ratio, if there is a table of limits."""
        return () if self.ratio_table is None else cardiomegaly(self.ratio_table, measurements, view)


@dataclass(slots=True)
class FakeDestination:
    """Destination that stores objects in memory; `before_send` may raise."""

    name: str = "pacs"
    before_send: Callable[[], None] = lambda: None
    received: list[bytes] = field(default_factory=list)

    def send(self, content: bytes) -> Receipt:
        """Store `content`."""
        self.before_send()
        self.received.append(content)
        return Receipt(status=0)

    def reports(self) -> list[Dataset]:
        """Return the received objects."""
        return [dcmread(BytesIO(content)) for content in self.received]


def with_region(prediction: Prediction, outline: tuple[Point, ...]) -> Prediction:
    """Return a prediction with one region for all findings."""
    regions = (Region(outline=outline),)
    findings = tuple(replace(finding, regions=regions) for finding in prediction.findings)
    return replace(prediction, findings=findings)


class InProcessNode(node.InProcessNode):
    """Node of real handlers, with a network and destinations of the test."""

    archive: FolderArchive

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        reader: StubNetwork | None = None,
        network: Callable[[], Network] | None = None,
        last_network: Callable[[], Network] | None = None,
        executor: Executor[ReadContext] | None = None,
        compose_executor: Executor[ComposeContext] | None = None,
        kinds: Sequence[ResultKind] = (tid1500.REPORT,),
        rules: ReadRules = RULES,
        condition: Condition = ANY,
        forms: tuple[ResultType, ...] = (),
        character_sets: CharacterSets | None = None,
        batching: Batching = ONE_JOB,
        lock: SharedLock | None = None,
        watchdog: Watchdog = nullcontext,
        verification: VerificationRule | None = None,
        peers: Mapping[str, Peer] | None = None,
        pacs: Destination | None = None,
        associations: HeldAssociations | None = None,
        retry: RetryRule = RETRY_RULES[Stage.DELIVER],
        notification_rules: Sequence[NotificationRule] = (),
        issues_anew: bool = True,
        takes_notes: bool = True,
        maximum_prior_age_days: int = 0,
        searches_for: timedelta | None = None,
    ) -> None:
        clock = SimulatedClock(NOON)
        archive = FolderArchive(folder / "archive")
        self.reader = reader or StubNetwork()
        self.pacs = FakeDestination()
        window = StudyWindow(quiet_s=QUIET_S, max_wait_s=MAX_WAIT_S)
        handlers: list[Handler] = [
            ReadHandler(
                database=database,
                executor=executor or InProcess(ReadContext(archive=archive, rules=rules)),
                network=network or (lambda: self.reader),
                last_network=last_network,
                last_attempt=LAST_ATTEMPT,
                watchdog=watchdog,
                batching=batching,
                window=window,
                crash_limit=CRASH_LIMIT,
                issues_anew=issues_anew,
                searches_for=searches_for,
            ),
            ComposeHandler(
                database=database,
                archive=archive,
                executor=compose_executor
                or InProcess(
                    ComposeContext(
                        archive=archive, kinds=kinds, observer=Observer(), character_sets=character_sets or {}
                    )
                ),
                routes={
                    self.pacs.name: Route(
                        kinds=frozenset() if forms else frozenset(kind.result_type.name for kind in kinds),
                        condition=condition,
                        forms=forms,
                        peer=PEER,
                        takes_notes=takes_notes,
                    )
                },
                window=window,
                clock=clock,
                notification_rules=notification_rules,
                maximum_prior_age_days=maximum_prior_age_days,
            ),
            DeliverHandler(
                database=database,
                archive=archive,
                destinations={self.pacs.name: pacs or self.pacs},
                verification={} if verification is None else {self.pacs.name: verification},
                associations=associations,
                clock=clock,
                retry=retry,
            ),
            CommitmentHandler(database=database, archive=archive, peers=peers or {}, clock=clock),
        ]
        super().__init__(
            {
                handler.stage: Worker(
                    handler,
                    database=database,
                    owner=OWNER,
                    lease=LEASE,
                    clock=clock,
                    jitter=lambda: 1.0,
                    lock=lock if handler.stage is Stage.READ else None,
                )
                for handler in handlers
            },
            database=database,
            archive=archive,
            clock=clock,
        )

    def accept(self, film: Dataset, *, sender: Sender = SENDER, rules: AttributeRules = ATTRIBUTE_RULES) -> bool:
        """Take a film as if a modality had sent it."""
        return pipeline.accept(
            received(film),
            sender,
            archive=self.archive,
            database=self.database,
            attributes=rules.attributes,
            clock=self.clock,
        )

    def work(self) -> None:
        """Run everything that is due, and then once more after the calm."""
        for _ in range(2):
            while any(self.turn(stage) for stage in Stage):
                pass
            self.clock.advance(seconds=QUIET_S)


def received(film: Dataset) -> Instance:
    """Return a film as the receiver hands it on."""
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    syntax = parse_uid(film.file_meta.TransferSyntaxUID)
    data_set = memoryview(out.getvalue())[data_set_offset(out.getvalue()) :]
    identity, header_values = identify_with_values(data_set, transfer_syntax_uid=syntax)
    return Instance(
        identity=identity,
        transfer_syntax_uid=syntax,
        digest=digest_of(bytes(data_set)),
        content=out.getvalue(),
        header_values=header_values,
    )
