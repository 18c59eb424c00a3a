"""Scratch node in a process of its own, with every role; it may be killed, or kills itself at a checkpoint.

Processes are forked from a server that has all modules imported, so that a node starts in a fraction of a second.
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

from cxr_node.domain.clock import utc_now
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.permissions import Permissions
from cxr_node.faults.instrumented import instrument_disk, instrumented, stepped_destinations, stepped_network
from cxr_node.faults.scratch import MODALITY_TITLE, WEB_TOKEN, ScratchNode
from cxr_node.faults.steps import INJECTED, MAINTENANCE, Checkpoints, Fault
from cxr_node.records import api_tokens
from cxr_node.records.api_tokens import ApiToken
from cxr_node.wiring import roles, startup
from cxr_node.wiring.process import Process
from cxr_node.work.periodic import retention
from cxr_node.work.periodic.scrub import Scrubber

_PRELOADED = ["cxr_node.faults.node_process", "cxr_node.simulators.pacs", "cxr_node.db.migrate", "sqlite3", "psycopg"]
_START_S = 600.0
"""Upper bound for a busy machine. A process that ends is noticed at once."""
_END_S = 20.0
_LOG_CHARACTERS = 2000
_KEPT = timedelta(seconds=3)
"""Retention of delivered films: so short that the node is also killed while it removes files."""
_MAINTENANCE_S = 0.25
_PORT = "port "
"""Prefix of the message with the port of the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """Options of a node process. With `maintains`, retention and scrub run all the time."""

    place: ScratchNode
    faults: tuple[Fault, ...] = ()
    maintains: bool = False
    limits: Callable[[], None] | None = None


@dataclass(slots=True)
class NodeProcess:
    """Handle of a node process. `steps` are the checkpoints it has reached, `injected` counts its faults."""

    process: "multiprocessing.process.BaseProcess"
    connection: Connection
    port: int = 0
    steps: set[str] = field(default_factory=set)
    injected: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.exitcode is not None

    @property
    def pid(self) -> int:
        """Process ID."""
        return self.process.pid or 0

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; return False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.has_ended and (left := deadline - time.monotonic()) > 0:
            self.read_messages(min(left, 0.05))
        return self.has_ended

    def kill(self) -> None:
        """Kill it, as a power cut does."""
        self.process.kill()
        self.process.join(_END_S)
        self.read_messages(0.0)

    def stop(self) -> int | None:
        """Stop it; return its exit status, None if it was killed after a time-out."""
        with contextlib.suppress(OSError):
            self.connection.send("stop")
        if not self.wait(_END_S):
            self.kill()
            return None
        self.process.join()
        return self.process.exitcode

    def read_messages(self, timeout_s: float) -> None:
        """Read its messages, for at most `timeout_s`."""
        try:
            while self.connection.poll(timeout_s):
                self._take(str(self.connection.recv()))
                timeout_s = 0.0
        except (EOFError, OSError):
            self.process.join(_END_S)

    def _take(self, message: str) -> None:
        if message.startswith(_PORT):
            self.port = int(message.removeprefix(_PORT))
        elif message == INJECTED:
            self.injected += 1
        else:
            self.steps.add(message)


@contextlib.contextmanager
def node_process(plan: NodePlan) -> Iterator[NodeProcess]:
    """Run a node process for the block, which begins when the node listens or has died."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    node = NodeProcess(process=process, connection=ours)
    try:
        deadline = time.monotonic() + _START_S
        while not node.port and not node.has_ended and time.monotonic() < deadline:
            node.read_messages(0.05)
        if not node.port and not node.has_ended:
            log = plan.place.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip()
            raise TimeoutError(f"the node is not ready after {_START_S:.0f} s; its log ends with: {log or '(nothing)'}")
        yield node
    finally:
        if not node.has_ended:
            node.stop()
        node.read_messages(0.0)
        ours.close()
        process.close()


def _run(plan: NodePlan, connection: Connection) -> None:
    """Run a node in this process until the parent process sends a message or ends."""
    _log_to(plan.place.log)
    if plan.limits is not None:
        plan.limits()
    steps = Checkpoints(plan.faults, announce=connection.send)
    instrument_disk(steps)
    settings, stopping = plan.place.settings, threading.Event()
    opened = partial(instrumented, settings, steps, utc_now)
    with contextlib.ExitStack() as stack:
        with opened(is_audited=False) as process:
            startup.prepare(process)
            add_web_token(process)
        delivering, reading, receiving = (stack.enter_context(opened()) for _ in range(3))
        destinations = stepped_destinations(settings, steps)
        stack.enter_context(roles.deliver(delivering, stopping=stopping, destinations=destinations))
        stack.enter_context(roles.read(reading, stopping=stopping, opens=stepped_network(steps)))
        address = stack.enter_context(roles.receive(receiving))
        if plan.maintains:
            process = stack.enter_context(opened(is_audited=False))
            threading.Thread(target=_maintain, args=(process, stopping), name=MAINTENANCE, daemon=True).start()
        connection.send(f"{_PORT}{address.rpartition(':')[2]}")
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        stopping.set()
    os._exit(0)


def add_web_token(process: Process) -> None:
    """Add the API token of the web entrance, if there is one, once."""
    now = process.clock()
    is_known = api_tokens.find_valid(process.database, WEB_TOKEN, now=now) is not None
    if not process.settings.dicomweb.enabled or is_known:
        return
    token = ApiToken(
        name=MODALITY_TITLE,
        permissions=Permissions(),
        created_at=now,
        created_by="faults",
        expires_at=now + timedelta(days=1),
    )
    with process.database.write() as transaction:
        api_tokens.add(transaction, token, WEB_TOKEN)


def _maintain(process: Process, stopping: threading.Event) -> None:
    """Run retention of a few seconds, and scrub, without pause."""
    scrubber = Scrubber(process.database, process.archive)
    while not stopping.wait(_MAINTENANCE_S):
        with contextlib.suppress(RetryLater):
            retention.remove_expired(process.database, process.archive, keep=_KEPT, clock=process.clock)
            scrubber.turn(1 << 20)


def _log_to(log: Path) -> None:
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.CRITICAL, handlers=[handler], force=True)
    logging.getLogger("cxr_node").setLevel(logging.WARNING)
    logging.raiseExceptions = False
    warnings.simplefilter("ignore")
