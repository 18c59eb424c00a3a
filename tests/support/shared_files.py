"""Bytes that take long to make and are the same each time: made once for all processes of a test run."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from cxr_node.domain.identifiers import digest_of

_VARIABLE = "CXR_NODE_TEST_FILES"
"""Environment variable with the folder, which the first process makes and the others inherit."""


def begin() -> Path | None:
    """Make the folder; return None in a process that has inherited it."""
    if _VARIABLE in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="cxr-node-tests-"))
    os.environ[_VARIABLE] = str(folder)
    return folder


def folder() -> Path:
    """Return the folder of this test run."""
    return Path(os.environ[_VARIABLE])


def end(folder: Path) -> None:
    """Remove the folder that `begin` returned."""
    del os.environ[_VARIABLE]
    shutil.rmtree(folder)


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
