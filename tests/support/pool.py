"""What processes that look at films are given to do in tests: imported by them, so in a module of its own."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_node.archive.folder import FolderArchive
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.radiograph import Float32, Geometry, Radiograph
from cxr_node.domain.reading import Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.reading.preprocess import ReadContext
from tests.support.node import RULES, prediction

DEADLY_ROWS = 68
"""By its rows an interpreter of these tests knows the film that ends its process."""


@contextmanager
def desk(archive: Path) -> Iterator[ReadContext]:
    """Open a desk over an archive."""
    yield ReadContext(archive=FolderArchive(archive), rules=RULES)


def process_id(_: ReadContext) -> int:
    """Say which process this is."""
    return os.getpid()


def is_killed(_: ReadContext) -> None:
    """End this process as the system does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleeps(_: ReadContext) -> None:
    """Never answer."""
    time.sleep(3600)


def gives_up(_: ReadContext) -> None:
    """Give up."""
    raise GiveUp(Reason.DECODE, "the detail")


def asks_for_patience(_: ReadContext) -> None:
    """Ask for patience."""
    raise RetryLater("the store is away")


def fails(_: ReadContext) -> None:
    """Fail with a message that quotes a patient."""
    raise KeyError("DOE^JANE")


@dataclass(frozen=True)
class Plain:
    """Prepares a film as its mean and says the same of each; some films it cannot be shown."""

    outlines_anatomy: bool = False

    def preprocess(self, film: Radiograph) -> Float32:
        """Return the mean."""
        if film.geometry.rows == DEADLY_ROWS:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((1, 1), film.p_values.mean(), np.float32)

    def decode_outputs(self, geometry: Geometry, given: Mapping[str, Float32]) -> Prediction:
        """Say that there is an opacity, if the film has come back."""
        if "film" not in given:
            raise GiveUp(Reason.MODEL_ERROR, "nothing came back")
        film = Radiograph(
            p_values=np.zeros((geometry.rows, geometry.columns), np.uint16), geometry=geometry, grayscale=""
        )
        return prediction([film])[0]


class Echo:
    """A network that gives back what it is given, and remembers how many films came together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.adapter = Plain()

    def forward(self, prepared: Sequence[Float32]) -> list[dict[str, Float32]]:
        """Return the films."""
        self.sizes.append(len(prepared))
        return [{"film": each} for each in prepared]
