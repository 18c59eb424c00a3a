"""Commands of documents, run as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.peers import until


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the content of each block of a page."""
    return re.findall(r"^```([a-z ]+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    """Return the environment of a person who has the node's commands in the path."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(script: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a block of a page in a shell that stops at the first error; return what it prints."""
    ended = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=variables, capture_output=True, text=True, timeout=500
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def background(
    command: str, folder: Path, variables: Mapping[str, str], *, is_ready: Callable[[str], bool], what: str
) -> Iterator[None]:
    """Run a command of a page while the block lasts; the block starts when what it prints `is_ready`."""
    log = folder / f"{Path(command.split(maxsplit=1)[0]).name}.log"
    with log.open("w", encoding="utf-8") as messages:
        process = subprocess.Popen(command.split(), cwd=folder, env=variables, stdout=messages, stderr=messages)
    try:
        until(lambda: is_ready(log.read_text()), what=what, timeout_s=240)
        yield
    finally:
        process.terminate()
        process.wait(60)
