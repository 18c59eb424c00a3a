"""Bytes that take long to make and are the same each time: made once for all processes of a test run."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from cxr_node.domain.identifiers import digest_of

_SHM = "/dev/shm"  # noqa: S108  # a folder of its own is made there
_MEMORY_BYTES = 12 << 30
_PREFIX, _PID = "cxr-node-tests-", "pid"
_VARIABLE = "CXR_NODE_TEST_FILES"
"""Environment variable with the folder, which the first process makes and the others inherit."""


def begin() -> Path | None:
    """Make the folder; return None in a process that has inherited it."""
    if _VARIABLE in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_memory()))
    (folder / _PID).write_text(str(os.getpid()), encoding="ascii")
    os.environ[_VARIABLE] = str(folder)
    return folder


def folder() -> Path:
    """Return the folder of this test run."""
    return Path(os.environ[_VARIABLE])


def end(folder: Path) -> None:
    """Remove the folder that `begin` returned."""
    del os.environ[_VARIABLE]
    shutil.rmtree(folder)


def abandoned() -> list[Path]:
    """Return the folders of this user's test runs that were killed."""
    folders = (one for parent in {_SHM, tempfile.gettempdir()} for one in Path(parent).glob(f"{_PREFIX}*"))
    return [one for one in folders if one.stat().st_uid == os.getuid() and _has_ended(one / _PID)]


def _has_ended(pid: Path) -> bool:
    try:
        return not psutil.pid_exists(int(pid.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return False  # it has just begun, or ends


def _memory() -> str | None:
    """Return a file system in memory, if there is much of it: databases are many files, which take long to remove."""
    is_large = os.path.ismount(_SHM) and shutil.disk_usage(_SHM).free >= _MEMORY_BYTES
    return _SHM if is_large and psutil.virtual_memory().available >= _MEMORY_BYTES else None


def made_once(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the bytes of `name`, by `make` unless a process of this test run has made them.

    Two processes may make them at the same moment; the file is whole in either case.
    """
    folder = os.environ.get(_VARIABLE)
    if folder is None:
        return make()
    path = Path(folder) / digest_of(name.encode())
    if path.exists():
        return path.read_bytes()
    content = make()
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(content)
    Path(file.name).rename(path)
    return content
