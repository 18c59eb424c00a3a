"""Replay of inputs from the field: data sets as they come, sent through a whole node, and what came of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from cxr_node import pipeline
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Instance
from cxr_node.receive.identify import identify
from tests.support.node import InProcessNode
from tests.support.odd_encodings import EXPLICIT, file_of
from tests.support.queue import SENDER

READ = "read"
"""Outcome of a film that is read; others are a reason's value, or `rejected: ...` with reception's message."""


class FieldNode:
    """A node that takes encoded data sets."""

    def __init__(self, node: InProcessNode) -> None:
        self._node = node

    def send(self, data_set: bytes, syntax: str = EXPLICIT) -> str:
        """Send a data set; return "" if it is stored, or why it is rejected."""
        content = file_of(data_set, syntax)
        try:
            identity = identify(memoryview(data_set), transfer_syntax_uid=Uid(syntax))
        except RejectObject as error:
            return f"rejected: {error}"
        instance = Instance(
            identity=identity, transfer_syntax_uid=Uid(syntax), digest=digest_of(data_set), content=content
        )
        node = self._node
        pipeline.accept(instance, SENDER, archive=node.archive, database=node.database, clock=node.clock)
        return ""

    def outcomes(self) -> list[str]:
        """Run every job; return the outcome of each film, in the order of reception."""
        self._node.work()
        jobs = sorted(self._node.jobs(Stage.READ), key=lambda job: job.job_id)
        return [READ if job.state is State.DONE else str(job.reason) for job in jobs]

    def outcome(self, data_set: bytes, syntax: str = EXPLICIT) -> str:
        """Send one film and return what came of it."""
        return self.send(data_set, syntax) or self.outcomes()[0]

    @property
    def sent(self) -> list[Dataset]:
        """The reports that left."""
        return [dcmread(BytesIO(content)) for content in self._node.pacs.received]


@contextmanager
def field_node(folder: Path) -> Iterator[FieldNode]:
    """Run a node with an archive and a database in `folder`."""
    database = Database(f"sqlite:///{folder / 'node.db'}")
    migrate.upgrade(database)
    try:
        yield FieldNode(InProcessNode(database, folder))
    finally:
        database.close()
