"""A reader that hangs, in a process that may be lost."""

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
from cxr_node.infer.watchdog import at_most
from cxr_node.work.batching import Batching
from tests.support.node import InProcessNode, Says

TIMEOUT_S = 0.2


def waits(films: Sequence[Radiograph]) -> NoReturn:
    """Wait for what never comes, as a driver that does not answer."""
    nothing, _ = os.pipe()
    os.read(nothing, 1)
    raise AssertionError


def never_lets_go(films: Sequence[Radiograph]) -> NoReturn:
    """Hold the interpreter for longer than anyone lives: no thread of Python runs meanwhile."""
    re.fullmatch(r"(a+)+", "a" * 64 + "b")
    raise AssertionError


HANGS = {hang.__name__: hang for hang in (waits, never_lets_go)}


def main(arguments: Sequence[str]) -> None:
    """Take one turn of reading with the reader that is named: URL FOLDER HANG."""
    url, folder, name = arguments
    shop = InProcessNode(
        Database(url),
        Path(folder),
        reader=Says(HANGS[name]),
        together=Batching(size=8),
        watchdog=partial(at_most, TIMEOUT_S),
    )
    shop.turn(Stage.READ)


if __name__ == "__main__":
    main(sys.argv[1:])
