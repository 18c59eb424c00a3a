"""A network that hangs, run in a process of its own."""

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer.watchdog import exit_after
from cxr_node.work.handler import Batching
from tests.support.node import InProcessNode, StubNetwork

TIMEOUT_S = 3.0
"""Long enough for a busy machine to come to the hang."""


def waits(films: Sequence[Radiograph]) -> NoReturn:
    """Block on a pipe, like a driver that does not return."""
    nothing, _ = os.pipe()
    os.read(nothing, 1)
    raise AssertionError


def never_lets_go(films: Sequence[Radiograph]) -> NoReturn:
    """Hold the interpreter lock for ever: no other Python thread runs."""
    re.fullmatch(r"(a+)+", "a" * 64 + "b")
    raise AssertionError


HANGS = {hang.__name__: hang for hang in (waits, never_lets_go)}


def main(arguments: Sequence[str]) -> None:
    """Take one read turn with the named hang: URL FOLDER HANG."""
    url, folder, name = arguments
    node = InProcessNode(
        Database(url),
        Path(folder),
        reader=StubNetwork(HANGS[name]),
        batching=Batching(size=8),
        watchdog=partial(exit_after, TIMEOUT_S),
    )
    node.turn(Stage.READ)


if __name__ == "__main__":
    main(sys.argv[1:])
