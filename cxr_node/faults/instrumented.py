"""The composition root of a scratch process, given parts whose every step can be the last.

The node's own wiring stays as it is: in the scratch process alone the makers of its database, destinations, reader
and clock are exchanged for makers of wrapped ones before the first role is wired, and the disk is `os` with steps.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, event

from cxr_node.db.database import Database, Transaction
from cxr_node.deliver.destination import Destination, Receipt
from cxr_node.domain.radiograph import Float32
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.faults.steps import Steps
from cxr_node.reading.network import Outputs
from cxr_node.settings.root import Settings
from cxr_node.wiring import deliver, process
from cxr_node.wiring import read as reading

_DISK = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink")
"""What the archive and the folder destination do to the disk."""

_STATEMENT = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|CREATE INDEX|ALTER TABLE)\s+(\w+)", re.I)


class SteppedDatabase(Database):
    """A database whose writing statements and commits are steps."""

    def __init__(self, url: str, *, steps: Steps, **options: Any) -> None:
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
        found = _STATEMENT.match(statement)
        if found is not None:
            self._steps.reach(f"{when} {found[1].upper()} {found[2]}")


class SteppedNetwork(ScratchNetwork):
    """A network whose process may die before and after a forward pass."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return each film's digest."""
        self._steps.reach("before the model")
        outputs = super().forward(batch)
        self._steps.reach("after the model")
        return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedDestination:
    """A destination in front of which, and behind which, there is a step."""

    inner: Destination
    steps: Steps

    @property
    def name(self) -> str:
        """The name of the destination behind."""
        return self.inner.name

    def send(self, content: bytes) -> Receipt:
        """Send; see `Destination.send`."""
        self.steps.reach(f"before sending to {self.name}")
        receipt = self.inner.send(content)
        self.steps.reach(f"after sending to {self.name}")
        return receipt


def rewire(steps: Steps, *, clock: Callable[[], datetime] | None = None) -> None:
    """Exchange the parts of this process's node, for as long as the process lives."""

    def database(settings: Settings) -> Database:
        settings.node.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)

        def ring(stage: Any) -> None:
            steps.reach("before the bell")
            bells.notify(stage)

        bells = process.bells(settings)
        return SteppedDatabase(
            settings.database_url, steps=steps, busy_timeout_s=settings.database.busy_timeout_s, ring=ring
        )

    makes_destinations = deliver.destinations

    def destinations(settings: Settings) -> dict[str, Destination]:
        made = makes_destinations(settings)
        return {name: SteppedDestination(inner=each, steps=steps) for name, each in made.items()}

    _exchange(process, "database", database)
    _exchange(deliver, "destinations", destinations)
    _exchange(reading, "reader", lambda _settings, _folder: SteppedNetwork(steps))
    if clock is not None:
        _exchange(process, "now", clock)
    for name in _DISK:
        _exchange(os, name, _stepped(steps, name, getattr(os, name)))


def _exchange(module: object, name: str, part: object) -> None:
    if not hasattr(module, name):
        raise AttributeError(f"{module} has no {name}: the node is wired otherwise now")
    setattr(module, name, part)


def _stepped(steps: Steps, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any, **options: Any) -> Any:
        # Bells and connections are written to as well; the disk's flags say what is a file that is made.
        if not _is_of_the_disk(name, arguments):
            return call(*arguments, **options)
        steps.reach(f"before {name}")
        result = call(*arguments, **options)
        steps.reach(f"after {name}")
        return result

    return stepped


def _is_of_the_disk(name: str, arguments: tuple[Any, ...]) -> bool:
    if name == "open":
        return len(arguments) > 1 and bool(arguments[1] & (os.O_CREAT | os.O_DIRECTORY))
    if name == "write":
        return os.path.isfile(f"/proc/self/fd/{arguments[0]}")  # noqa: PTH113  # the path is a link by number
    return True
