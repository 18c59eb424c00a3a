"""Performer of procedure steps that is killed at a request or commit, and rows of films whose results are delivered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import insert

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import delivery, film, job, result, study
from cxr_node.domain.codes import dcm
from cxr_node.domain.identifiers import AeTitle, digest_of
from cxr_node.domain.procedure_step import RetrievalPlace, Worklist, WorklistSession
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.work.periodic.input_retrieval import InputRetrieval
from cxr_node.work.periodic.procedure_steps import ProcedureSteps
from tests.support.queue import NOON

Point = Callable[[], None]
"""Called at each point at which a node may be killed."""


class Killed(BaseException):
    """The node was killed."""


@dataclass(slots=True)
class NthPoint:
    """Kills at the n-th point, counted from 0."""

    number: int
    passed: int = 0

    def __call__(self) -> None:
        """Pass a point."""
        self.passed += 1
        if self.passed == self.number + 1:
            raise Killed


class KilledDatabase(Database):
    """Database whose node may be killed before and after each commit."""

    def __init__(self, url: str, point: Point) -> None:
        super().__init__(url)
        self.point = point

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Commit, unless the node is killed before."""
        with super().write() as transaction:
            yield transaction
            self.point()
        self.point()


@dataclass(frozen=True, slots=True)
class KilledWorklist:
    """Worklist whose node may be killed before each request is sent, and before its response is used."""

    worklist: Worklist
    point: Point

    @property
    def name(self) -> str:
        """Name of the worklist."""
        return self.worklist.name

    @contextmanager
    def session(self) -> Iterator[WorklistSession]:
        """Open a session."""
        with self.worklist.session() as session:
            yield _KilledSession(session, self.point)


@dataclass(frozen=True, slots=True)
class _KilledSession:
    session: WorklistSession
    point: Point

    def __getattr__(self, name: str) -> Callable[..., Any]:
        request = getattr(self.session, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.point()
            response = request(*arguments, **options)
            self.point()
            return response

        return call


@dataclass(slots=True, kw_only=True)
class PerformingNode:
    """A node with a database file, whose performer is started anew for each run."""

    url: str
    worklist: Worklist
    maximum_steps: int = 8
    now: datetime = NOON

    def run(self, point: Point = lambda: None) -> bool:
        """Run once; return whether the run came to its end."""
        database = KilledDatabase(self.url, point)
        performer = ProcedureSteps(
            database=database,
            worklists=lambda: [KilledWorklist(self.worklist, point)],
            retrievals=lambda: {"pacs": RetrievalPlace(ae_title=AeTitle("PACS"))},
            station=dcm("CXR1", "CXR1"),
            clock=lambda: self.now,
            maximum_steps=self.maximum_steps,
            input_wait=timedelta(hours=1),
            retrieval=InputRetrieval(clock=lambda: self.now),
        )
        try:
            performer.run()
        except Killed:
            return False
        finally:
            database.close()
        return True


def reference(number: int) -> Dataset:
    """Return the UIDs of a film."""
    one = Dataset()
    one.SOPClassUID = STORAGE_SOP_CLASSES[0]
    one.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{number}"
    one.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.2.{number}"
    one.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.3.{number}"
    return one


def deliver(transaction: Transaction, one: Dataset) -> None:
    """Insert the rows of a film that was received, read and reported, and whose report was delivered."""
    execute, at = transaction.connection.execute, NOON

    def added(table: Any, **values: Any) -> int:
        key = execute(insert(table).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def done(stage: Stage, of_study_id: int, **subject: int) -> None:
        times = {"due_at": at, "created_at": at, "queued_at": at, "ended_at": at}
        counts = {"priority": 0, "attempts": 1, "crashes": 0, "detail": "", "of_study_id": of_study_id}
        execute(insert(job).values(stage=stage, state=State.DONE, **times, **counts, **subject))

    study_id = added(study, study_instance_uid=one.StudyInstanceUID, first_received_at=at)
    digest = digest_of(str(one.SOPInstanceUID).encode())
    columns = {"patient_key": digest, "digest": digest, "size_bytes": 1, "transfer_syntax_uid": "1.2.840.10008.1.2.1"}
    film_id = added(
        film,
        study_id=study_id,
        sop_class_uid=one.SOPClassUID,
        sop_instance_uid=one.SOPInstanceUID,
        series_instance_uid=one.SeriesInstanceUID,
        archive_key=f"films/{digest}",
        calling_ae_title="DX1",
        called_ae_title="CXRNODE",
        address="127.0.0.1",
        received_at=at,
        is_original=True,
        **columns,
    )
    result_id = added(
        result,
        study_id=study_id,
        kind="report",
        version=1,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid=f"{one.SOPInstanceUID}.1",
        series_instance_uid=f"{one.SeriesInstanceUID}.1",
        archive_key=f"results/{digest}",
        composed_at=at,
        **columns,
    )
    delivery_id = added(
        delivery, result_id=result_id, destination="pacs", created_at=at, delivered_at=at, first_delivered_at=at
    )
    done(Stage.READ, study_id, film_id=film_id)
    done(Stage.COMPOSE, study_id, study_id=study_id)
    done(Stage.DELIVER, study_id, delivery_id=delivery_id)
