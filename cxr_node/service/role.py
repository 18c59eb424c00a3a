"""Process of one role, which ends with its supervisor."""

import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import assert_never

from cxr_node import config
from cxr_node.domain.errors import RetryLater
from cxr_node.ops import logs
from cxr_node.service import signals
from cxr_node.service.descriptors import raise_descriptor_limit
from cxr_node.settings.root import Settings
from cxr_node.wiring import heartbeat, roles
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role

_log = logging.getLogger(__name__)

_FAILED = 1
_UNUSABLE = 2
"""Exit status of a role whose settings or files cannot be used."""
_STOP_S = 8.0
"""A role that takes longer to stop exits; the supervisor waits a little longer."""


def run(role: Role, settings: Settings, heartbeat_path: Path, loaded: config.Loaded) -> int:
    """Run `role` until SIGTERM or the end of the supervisor; exit with status 0 after SIGTERM, else 1.

    `settings` are those of the file `loaded`, but for what the command of the supervisor has replaced.
    """
    logs.configure(settings.log.level)
    raise_descriptor_limit()
    stopping, signalled, ready = threading.Event(), threading.Event(), threading.Event()

    def stop() -> None:
        signalled.set()
        stopping.set()
        if not ready.is_set():  # no job is claimed yet
            os._exit(0)

    signals.on_first([signal.SIGTERM], stop)
    # Ctrl-C reaches the whole process group; the supervisor stops the roles.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_supervisor, name="supervisor watch", daemon=True).start()
    processes: list[Process] = []
    signals.on_each(signal.SIGHUP, lambda: _reload(processes))
    checks: list[Callable[[], bool]] = []
    with (
        heartbeat.beating(heartbeat_path, lambda: all(holds() for holds in checks)),
        Process.open(settings, is_audited=True, loaded=loaded) as process,
        _serve(process, role, stopping=stopping) as address,
    ):
        checks.append(process.is_alive)
        processes.append(process)
        heartbeat.write_address(heartbeat_path, address)
        ready.set()
        _freeze_garbage_collector()
        sys.stdout.write(json.dumps({"role": role, "address": address}) + "\n")
        sys.stdout.flush()
        stopping.wait()
        threading.Timer(_STOP_S, os._exit, args=(1,)).start()
    # A thread that hangs in a library must not block the exit.
    sys.stdout.flush()
    os._exit(0 if signalled.is_set() else 1)


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


def _reload(processes: Sequence[Process]) -> None:
    """Take up a changed settings file now, and not at the next tick."""
    for process in processes:
        try:
            process.live.reload()
        except RetryLater as error:
            _log.warning("%s", error)


def _freeze_garbage_collector() -> None:
    """Exclude the objects of the start from garbage collection.

    pynetdicom runs a collection at every sixtieth connection. It took 0.1 s, in which no other thread runs.
    """
    gc.collect()
    gc.freeze()


def _exit_with_supervisor() -> None:
    """Exit when standard input closes: the supervisor holds its other end, and closes it only by ending.

    The exit is immediate, as in a power cut. The next start waits for this process's lock, and recovers the same way.
    """
    while os.read(0, 1):
        pass
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run the role that the supervisor's command names: ROLE --config FILE --heartbeat FILE [--device DEVICE]."""
    role, _, path, _, heartbeat_path, *device = arguments
    loaded = config.read(Path(path))
    settings = loaded.settings
    if device:
        read = settings.read.model_copy(update={"device": device[1]})
        settings = settings.model_copy(update={"read": read})
    try:
        return run(Role(role), settings, Path(heartbeat_path), loaded)
    except config.ConfigurationError as error:
        for problem in error.problems:
            _log.error("%s does not start: %s", role, problem)
        return _UNUSABLE
    except RetryLater as error:
        _log.error("%s does not start: %s", role, error)
        return _FAILED
