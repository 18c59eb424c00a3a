"""One role in a process of its own, for as long as its supervisor lives."""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import assert_never

from cxr_node import config
from cxr_node.ops import logs
from cxr_node.service import signals
from cxr_node.settings.root import Settings
from cxr_node.wiring import roles
from cxr_node.wiring.process import Process
from cxr_node.wiring.roles import Role

# A role that cannot stop in this time is stuck; the supervisor's patience is a little longer.
_LAST_RESORT_S = 8.0


def run(role: Role, settings: Settings) -> int:
    """Run `role` until told to stop or the supervisor is gone; return the exit status."""
    logs.configure(settings.log.level)
    stopping, asked, serving = threading.Event(), threading.Event(), threading.Event()

    def stop() -> None:
        asked.set()
        stopping.set()
        if not serving.is_set():  # it holds nothing yet
            os._exit(0)

    signals.on_first([signal.SIGTERM], stop)
    # Ctrl-C reaches the whole process group; the supervisor decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_lifeline, name="lifeline", daemon=True).start()
    with Process.open(settings, is_audited=True) as process, _serve(process, role, stopping=stopping) as address:
        serving.set()
        _keep_what_is_loaded()
        sys.stdout.write(json.dumps({"role": role, "address": address}) + "\n")
        sys.stdout.flush()
        stopping.wait()
        threading.Timer(_LAST_RESORT_S, os._exit, args=(1,)).start()
    # Threads that are stuck in a library must not hold the process.
    sys.stdout.flush()
    os._exit(0 if asked.is_set() else 1)


def _serve(process: Process, role: Role, *, stopping: threading.Event) -> AbstractContextManager[str]:
    """Run a role for the block; the value is its address, empty if it has none."""
    match role:
        case Role.RECEIVE:
            return roles.receive(process)
        case Role.READ:
            return roles.read(process, stopping=stopping)
        case Role.DELIVER:
            return roles.deliver(process, stopping=stopping)
        case Role.SHADOW:
            return roles.shadow(process, stopping=stopping)
        case Role.ADMIN:
            # Only this role imports the web framework.
            from cxr_node.web import server

            return server.serve(process)
        case _:
            assert_never(role)


def _keep_what_is_loaded() -> None:
    """Have what was loaded at the start never looked through again for what can be freed.

    pynetdicom collects at every sixtieth connection, which took 0.1 s, and no other thread goes on meanwhile.
    """
    gc.collect()
    gc.freeze()


def _watch_lifeline() -> None:
    """End with standard input: the supervisor holds its other end, never writes, and outlives us unless it was killed.

    At once, as in a power cut: what the next start puts right is the same, and it waits for our lock.
    """
    while os.read(0, 1):
        pass
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run the role that the supervisor's command names: ROLE --config FILE [--device DEVICE]."""
    role, _, path, *more = arguments
    settings = config.load(Path(path))
    if more:
        read = settings.read.model_copy(update={"device": more[1]})
        settings = settings.model_copy(update={"read": read})
    return run(Role(role), settings)
