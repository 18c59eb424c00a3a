"""A fault group in a process whose folder is a small volume of its own, where the system lets a user mount one.

The volume is a tmpfs in a mount namespace that ends with the process, so that nothing else is ever without space.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_node.faults.context import Amounts, FaultContext
from cxr_node.faults.films import Films
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.postgres_server import Server
from cxr_node.faults.suppressed_logs import suppressed_logs

_AS_ROOT = ("--mount",)
_AS_USER = ("--user", "--map-current-user", "--keep-caps", "--mount")
"""A user namespace: its first process may mount for itself alone."""
_MOUNT = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
_PROBE_S = 20.0


def reason_why_not() -> str:
    """Return why no volume can be mounted here; empty if one can."""
    return "" if _unshare() else "this system lets this user mount no volume"


def run(context: FaultContext, module: str, *, size_bytes: int, inodes: int) -> GroupResult:
    """Call `run_on_volume` of a module in a process of its own; the folder of its context is a new volume.

    Raises
    ------
    RuntimeError
        If the process ends without a result.
    """
    folder = context.folder / "volume"
    folder.mkdir(parents=True)
    server = context.server
    arguments = {
        "module": module,
        "context": {
            "folder": str(folder),
            "kind": context.kind,
            "url": context.url,
            "seed": context.seed,
            "receive_settings": dict(context.receive_settings),
            "receive_processes": context.receive_processes,
        },
        "amounts": asdict(context.amounts),
        "server": None if server is None else [str(server.binaries), str(server.folder), server.user],
    }
    options = f"size={size_bytes},nr_inodes={inodes},mode=755"
    command = [*_unshare(), "sh", "-c", _MOUNT, "sh", options, str(folder), sys.executable, "-m", __name__]
    with subprocess.Popen(  # noqa: S603  # this package
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        json.dump(arguments, process.stdin)
        process.stdin.close()
        for line in process.stdout:
            message = json.loads(line)
            if "result" in message:
                return _result(message["result"])
            context.on_progress(*message["progress"])
    raise RuntimeError(f"the group ended with status {process.returncode} and without a result")


def _unshare() -> Sequence[str]:
    """Return the command that gives a process mounts of its own; empty if none may be made."""
    program = shutil.which("unshare")
    for options in (_AS_ROOT, _AS_USER) if program else ():
        command = (str(program), *options)
        probe = [*command, "sh", "-c", _MOUNT, "sh", "size=64k", tempfile.gettempdir(), "true"]
        try:
            ended = subprocess.run(probe, capture_output=True, timeout=_PROBE_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            continue
        if ended.returncode == 0:
            return command
    return ()


def _result(message: dict[str, Any]) -> GroupResult:
    del message["good"]
    lists = {name: tuple(message[name]) for name in ("problems", "notes")}
    return GroupResult(**message | lists)


def main() -> None:
    """Run the group that standard input names; write its progress and its result to standard output."""
    from importlib import import_module

    arguments = json.load(sys.stdin)
    fields, server = arguments["context"], arguments["server"]
    context = FaultContext(
        **fields | {"folder": Path(fields["folder"])},
        films=Films(fields["seed"]),
        server=None if server is None else Server(binaries=Path(server[0]), folder=Path(server[1]), user=server[2]),
        amounts=Amounts(**arguments["amounts"]),
        on_progress=lambda *progress: _print({"progress": progress}),
    )
    run_group: Callable[[FaultContext], GroupResult] = import_module(arguments["module"]).run_on_volume
    with suppressed_logs():
        result = run_group(context)
    _print({"result": result.as_json()})


def _print(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    # Threads of libraries must not delay the end.
    sys.stdout.flush()
    os._exit(0)
