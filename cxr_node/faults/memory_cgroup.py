"""Memory cgroup of the fault suite: a process that allocates more within it is killed by the kernel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cxr_node.faults.load import wait_for

_ROOT = Path("/sys/fs/cgroup")
_NAME = "cxr-faults-{}"
_PROCESSES = "cgroup.procs"
_END_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hierarchy:
    """Folder of this process's own memory cgroup, and the file of a limit in each of its cgroups."""

    own: Path
    limit: str


def reason_why_not() -> str:
    """Return why no memory cgroup can be made here; empty if one can."""
    hierarchy = _hierarchy()
    if hierarchy is None:
        return "no hierarchy of cgroups with memory limits"
    try:
        with _created(hierarchy, 1 << 40):
            return ""
    except OSError as error:
        return f"no memory cgroup can be made ({os.strerror(error.errno or 0)})"


@contextmanager
def limited(process: int, more_bytes: int) -> Iterator[None]:
    """Let a process allocate at most `more_bytes` more while the block lasts: what it has does not count.

    Raises
    ------
    OSError
        If it cannot be moved into a cgroup.
    """
    hierarchy = _hierarchy()
    if hierarchy is None:
        raise OSError("no hierarchy of cgroups with memory limits")
    with _created(hierarchy, more_bytes) as folder:
        before = _cgroup_of(process, hierarchy) / _PROCESSES
        _write(folder / _PROCESSES, str(process))
        try:
            yield
        finally:
            with suppress(OSError):  # the process has ended
                _write(before, str(process))


@contextmanager
def _created(hierarchy: _Hierarchy, limit_bytes: int) -> Iterator[Path]:
    folder = hierarchy.own / _NAME.format(os.getpid())
    folder.mkdir()
    try:
        _write(folder / hierarchy.limit, str(limit_bytes))
        yield folder
    finally:
        for process in (folder / _PROCESSES).read_text().split():  # children of the limited process
            with suppress(OSError):
                _write(hierarchy.own / _PROCESSES, process)
        wait_for(lambda: _is_removed(folder), _END_S)


def _is_removed(folder: Path) -> bool:
    """Whether the cgroup could be removed: a killed process leaves it a moment later."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _hierarchy() -> _Hierarchy | None:
    if (_ROOT / "memory").is_dir():  # version 1
        return _Hierarchy(own=_folder(os.getpid(), "memory", _ROOT / "memory"), limit="memory.limit_in_bytes")
    controllers = _ROOT / "cgroup.controllers"
    if controllers.exists() and "memory" in controllers.read_text().split():
        return _Hierarchy(own=_folder(os.getpid(), "", _ROOT), limit="memory.max")
    return None


def _cgroup_of(process: int, hierarchy: _Hierarchy) -> Path:
    is_first_version = hierarchy.limit == "memory.limit_in_bytes"
    return _folder(process, "memory" if is_first_version else "", _ROOT / ("memory" if is_first_version else ""))


def _folder(process: int, controller: str, root: Path) -> Path:
    for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return root / path.lstrip("/")
    return root


def _write(path: Path, text: str) -> None:
    # Not write_text: its error at close would come after the file is said to be written.
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
