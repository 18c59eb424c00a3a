"""One life of a scratch node: every role in one process of its own, which may be killed, or kills itself, at a step.

Processes are forked from one that has everything imported, so a life begins within a fraction of a second and a
thousand deaths fit into a coffee break.
"""

import contextlib
import logging
import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from cxr_node.domain.errors import RetryLater
from cxr_node.faults.instrumented import instrument_disk, instrumented, stepped_destinations, stepped_network
from cxr_node.faults.scratch import Place
from cxr_node.faults.steps import STRUCK, UPKEEP, Fault, Steps
from cxr_node.wiring import roles, startup
from cxr_node.wiring.process import Process, utc_now
from cxr_node.work.periodic import retention
from cxr_node.work.periodic.scrub import Scrubber

_PRELOADED = ["cxr_node.faults.node_process", "cxr_node.simulators.pacs", "cxr_node.db.migrate", "sqlite3", "psycopg"]
_START_S = 600.0
"""Upper bound for a busy machine. A process that ends is noticed at once."""
_END_S = 20.0
_LOG_CHARACTERS = 2000
_KEPT = timedelta(seconds=3)
"""How long a scratch node keeps what it delivered: so briefly that removal is one of the stages that are killed."""
_UPKEEP_S = 0.25
_PORT = "port "
"""What begins the message that says where the node listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a life is to do. `keeps_up` if what is old is to be removed all the time."""

    place: Place
    faults: tuple[Fault, ...] = ()
    keeps_up: bool = False
    clock_ahead_s: float = 0.0
    limits: Callable[[], None] | None = None


@dataclass(slots=True)
class NodeProcess:
    """A running life as its keeper sees it. `steps` are the names of the steps that it took."""

    process: "multiprocessing.process.BaseProcess"
    talk: Connection
    port: int = 0
    steps: set[str] = field(default_factory=set)
    struck: int = 0

    @property
    def ended(self) -> bool:
        """Whether the process has ended, by itself or not."""
        return self.process.exitcode is not None

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid or 0

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process, and return whether it has ended."""
        patience_ends = time.monotonic() + timeout_s
        while not self.ended and (left := patience_ends - time.monotonic()) > 0:
            self.listen(min(left, 0.05))
        return self.ended

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.join(_END_S)
        self.listen(0.0)

    def stop(self) -> int | None:
        """Ask it to stop; return its exit status, None if it had to be killed."""
        with contextlib.suppress(OSError):
            self.talk.send("stop")
        if not self.wait(_END_S):
            self.kill()
            return None
        self.process.join()
        return self.process.exitcode

    def listen(self, timeout_s: float) -> None:
        """Take in what it says, for `timeout_s` at the most."""
        try:
            while self.talk.poll(timeout_s):
                self._take(str(self.talk.recv()))
                timeout_s = 0.0
        except (EOFError, OSError):
            self.process.join(_END_S)

    def _take(self, said: str) -> None:
        if said.startswith(_PORT):
            self.port = int(said.removeprefix(_PORT))
        elif said == STRUCK:
            self.struck += 1
        else:
            self.steps.add(said)


@contextlib.contextmanager
def life(plan: Plan) -> Iterator[NodeProcess]:
    """Begin a life; the block is entered when the node listens, or has died before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    begun = NodeProcess(process=process, talk=ours)
    try:
        patience_ends = time.monotonic() + _START_S
        while not begun.port and not begun.ended and time.monotonic() < patience_ends:
            begun.listen(0.05)
        if not begun.port and not begun.ended:
            log = plan.place.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip()
            raise TimeoutError(f"the node is not ready after {_START_S:.0f} s; its log ends with: {log or '(nothing)'}")
        yield begun
    finally:
        if not begun.ended:
            begun.stop()
        begun.listen(0.0)
        ours.close()
        process.close()


def _live(plan: Plan, talk: Connection) -> None:
    """Run a node in this process until the keeper sends a message or is gone."""
    _say_to(plan.place.log)
    if plan.limits is not None:
        plan.limits()
    steps = Steps(plan.faults, announce=talk.send)
    instrument_disk(steps)
    settings, stopping = plan.place.settings, threading.Event()
    ahead = timedelta(seconds=plan.clock_ahead_s)
    opened = partial(instrumented, settings, steps, lambda: utc_now() + ahead)
    with contextlib.ExitStack() as stack:
        with opened(is_audited=False) as process:
            startup.prepare(process)
        delivering, reading, receiving = (stack.enter_context(opened()) for _ in range(3))
        to = stepped_destinations(settings, steps)
        stack.enter_context(roles.deliver(delivering, stopping=stopping, destinations=to))
        stack.enter_context(roles.read(reading, stopping=stopping, opens=stepped_network(steps)))
        address = stack.enter_context(roles.receive(receiving))
        if plan.keeps_up:
            process = stack.enter_context(opened(is_audited=False))
            threading.Thread(target=_keep_up, args=(process, stopping), name=UPKEEP, daemon=True).start()
        talk.send(f"{_PORT}{address.rpartition(':')[2]}")
        try:
            talk.recv()
        except (EOFError, OSError):
            os._exit(1)
        stopping.set()
    os._exit(0)


def _keep_up(process: Process, stopping: threading.Event) -> None:
    """Run retention of a few seconds, and scrub, without pause."""
    scrubber = Scrubber(process.database, process.archive)
    while not stopping.wait(_UPKEEP_S):
        with contextlib.suppress(RetryLater):
            retention.remove_expired(process.database, process.archive, keep=_KEPT, clock=process.clock)
            scrubber.turn(1 << 20)


def _say_to(log: Path) -> None:
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.CRITICAL, handlers=[handler], force=True)
    logging.getLogger("cxr_node").setLevel(logging.WARNING)
    logging.raiseExceptions = False
    warnings.simplefilter("ignore")
