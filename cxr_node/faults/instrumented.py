"""Instrumented process of a scratch node: each statement, disk access, delivery and forward pass is a checkpoint.

`instrumented` opens a `Process` whose database has checkpoints; destinations and network are wrapped for the roles that
use them. The disk is module `os`, whose functions `instrument_disk` replaces in the scratch process.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import Destination, Receipt
from cxr_node.domain.clock import Clock
from cxr_node.domain.radiograph import Float32
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.faults.steps import Checkpoints
from cxr_node.reading.network import Outputs
from cxr_node.settings.root import Settings
from cxr_node.wiring.deliver import open_destinations
from cxr_node.wiring.process import Process

_DISK = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink")
"""Functions of `os` that the archive and the folder destination call."""

_STATEMENT = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|CREATE INDEX|ALTER TABLE)\s+(\w+)", re.I)


class SteppedDatabase(Database):
    """Database with checkpoints at writing statements and commits."""

    def __init__(self, url: str, *, steps: Checkpoints, **options: Any) -> None:
        super().__init__(url, **options)
        self._steps = steps
        event.listen(self.engine, "before_cursor_execute", self._before)
        event.listen(self.engine, "after_cursor_execute", self._after)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction; see `Database.write`."""
        self._steps.reach("BEGIN")
        with super().write() as transaction:
            yield transaction
            self._steps.reach("before COMMIT")
        self._steps.reach("after COMMIT")

    def _before(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        self._step("before", statement)

    def _after(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        self._step("after", statement)

    def _step(self, when: str, statement: str) -> None:
        match = _STATEMENT.match(statement)
        if match is not None:
            self._steps.reach(f"{when} {match[1].upper()} {match[2]}")


class SteppedNetwork(ScratchNetwork):
    """Network with checkpoints before and after a forward pass."""

    def __init__(self, steps: Checkpoints) -> None:
        self._steps = steps

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return each film's digest."""
        self._steps.reach("before the model")
        outputs = super().forward(batch)
        self._steps.reach("after the model")
        return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedDestination:
    """Destination with checkpoints before and after each delivery."""

    inner: Destination
    steps: Checkpoints

    @property
    def name(self) -> str:
        """The name of the inner destination."""
        return self.inner.name

    def send(self, content: bytes) -> Receipt:
        """Send; see `Destination.send`."""
        self.steps.reach(f"before sending to {self.name}")
        receipt = self.inner.send(content)
        self.steps.reach(f"after sending to {self.name}")
        return receipt


def instrumented(
    settings: Settings, steps: Checkpoints, clock: Clock, *, is_audited: bool = True
) -> AbstractContextManager[Process]:
    """Open a process of the node with checkpoints in its database and notifications."""

    def make_database(process: Process) -> Database:
        def notify(stage: Stage) -> None:
            steps.reach("before the notification")
            process.notifier.notify(stage)

        settings.node.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SteppedDatabase(
            settings.database_url, steps=steps, busy_timeout_s=settings.database.busy_timeout_s, on_commit=notify
        )

    return Process.open(settings, clock=clock, is_audited=is_audited, make_database=make_database)


def stepped_destinations(settings: Settings, steps: Checkpoints) -> Mapping[str, Destination]:
    """Return the destinations of the settings, with checkpoints."""
    return {name: SteppedDestination(inner=to, steps=steps) for name, to in open_destinations(settings).items()}


def stepped_network(steps: Checkpoints) -> Callable[[Process, Path | None], Any]:
    """Return a function that opens a network with checkpoints, whatever the bundle."""
    return lambda _process, _folder: SteppedNetwork(steps)


def instrument_disk(steps: Checkpoints) -> None:
    """Put checkpoints before and after each disk access of this OS process, until it ends."""
    for name in _DISK:
        setattr(os, name, _stepped(steps, name, getattr(os, name)))


def _stepped(steps: Checkpoints, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any, **options: Any) -> Any:
        # FIFOs and connections are written to as well; the flags and /proc tell files on disk.
        if not _is_disk_access(name, arguments):
            return call(*arguments, **options)
        steps.reach(f"before {name}")
        result = call(*arguments, **options)
        steps.reach(f"after {name}")
        return result

    return stepped


def _is_disk_access(name: str, arguments: tuple[Any, ...]) -> bool:
    if name == "open":
        return len(arguments) > 1 and bool(arguments[1] & (os.O_CREAT | os.O_DIRECTORY))
    if name == "write":
        return os.path.isfile(f"/proc/self/fd/{arguments[0]}")  # noqa: PTH113  # the path is a link by number
    return True
