"""Process that starts the roles: it imports once what they share, and each role is a fork of it.

Imports cost a role two seconds of CPU and most of its memory; a fork takes milliseconds and shares the pages. The
process has one thread and opens no database, since a fork copies neither threads nor locks in a known state. Python's
documentation of `multiprocessing`, section "Contexts and start methods", describes the method as *forkserver*.

A role becomes a child of the supervisor, which has made itself a child subreaper (prctl(2)): its end is seen there, and
the end of this process, which the supervisor starts again when needed, concerns no role.
"""

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import setproctitle

from cxr_node.process_pool.pydicom_import import import_pydicom

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MAX_REQUEST_BYTES = 1 << 16
_FILES = 3
"""Descriptors of a request: standard input, standard output, lock of the data folder."""
_FAILED = 1
_MALLOC_ARENAS = {"receive": 2, "read": 1}
"""By default, each of the two threads of an association gets a glibc malloc arena, and each thread of a reader, and
keeps its memory."""


def serve(connection: socket.socket) -> None:
    """Start a role at each request until the supervisor closes the connection. Runs in a process of its own.

    Request: a JSON list of the arguments of `role.main`, with three descriptors. Reply: the process ID in JSON.
    """
    # Ctrl-C and some managers signal every process of a node; the supervisor ends this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    setproctitle.setproctitle("cxr-node role-starter")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    os.close(null)
    _import_shared_modules()
    gc.collect()
    gc.freeze()
    while True:
        request, files, _, _ = socket.recv_fds(connection, _MAX_REQUEST_BYTES, _FILES)
        if not request:
            return
        process_id = _fork_role(connection, json.loads(request), files)
        for file in files:
            os.close(file)
        connection.send(json.dumps(process_id).encode())


def _import_shared_modules() -> None:
    """Import what several roles use: neither PyTorch nor the web framework, which one role each imports."""
    import_pydicom()
    from cxr_node.service import role
    from cxr_node.wiring import compose, deliver, maintenance, read, receive, rejection_counters

    del role, compose, deliver, maintenance, read, receive, rejection_counters


def _fork_role(connection: socket.socket, arguments: Sequence[str], files: Sequence[int]) -> int:
    """Fork a role that is a child of the supervisor; return its process ID.

    The fork is that of an intermediate process, whose end makes the role a child of the subreaper. The role begins
    after that, when the pipe `gate` closes.
    """
    gate, opener = os.pipe()
    reports, reporter = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        role = os.fork()
        if role == 0:
            for file in (opener, reports, reporter):
                os.close(file)
            connection.close()
            os.read(gate, 1)
            os.close(gate)
            _run_role(arguments, files)
        os.write(reporter, str(role).encode())
        os._exit(0)
    os.close(gate)
    os.close(reporter)
    os.waitpid(intermediate, 0)
    os.close(opener)
    with os.fdopen(reports, "rb") as report:
        return int(report.read())


def _run_role(arguments: Sequence[str], files: Sequence[int]) -> None:
    """Run a role in this process, and exit with its status."""
    status = _FAILED
    try:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        setproctitle.setproctitle(" ".join(["cxr-node role", *arguments]))
        # The lock of the data folder stays open as long as the role lives.
        for standard, file in enumerate(files[:2]):
            os.dup2(file, standard)
            os.close(file)
        from cxr_node.service import role
        from cxr_node.wiring.process_memory import limit_malloc_arenas

        if arguments[0] in _MALLOC_ARENAS:
            limit_malloc_arenas(_MALLOC_ARENAS[arguments[0]])
        status = role.main(arguments)
    except BaseException:  # noqa: BLE001  # as at the top of a program
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def main(arguments: Sequence[str]) -> int:
    """Serve the connection whose descriptor is the argument."""
    serve(socket.socket(fileno=int(arguments[0])))
    return 0
