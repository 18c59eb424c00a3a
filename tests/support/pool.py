"""Functions and adapters that tests run in pool worker processes, which import them from here."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr_node.archive.folder import FolderArchive
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import Finding, Measurement, Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Outputs
from tests.support.stub_prediction import RULES, prediction

DEADLY_ROWS = 68
"""Rows of a film that kills its worker process."""


@contextmanager
def read_context(archive: Path) -> Iterator[ReadContext]:
    """Open a read context over an archive."""
    yield ReadContext(archive=FolderArchive(archive), rules=RULES)


def allocates(_context: ReadContext, size_bytes: int) -> int:
    """Allocate memory."""
    return len(bytes(size_bytes))


def process_id(_context: ReadContext, _item: None) -> int:
    """Return the process id."""
    return os.getpid()


def is_killed(_context: ReadContext, _item: None) -> None:
    """End this process like the out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleeps(_context: ReadContext, _item: None) -> None:
    """Never return."""
    time.sleep(3600)


def variables(_context: ReadContext, _item: None) -> list[str]:
    """Return the names of the process's environment variables."""
    return list(os.environ)


def gives_up(_context: ReadContext, _item: None) -> None:
    """Give up."""
    raise GiveUp(Reason.DECODE, "the detail")


def retries_later(_context: ReadContext, _item: None) -> None:
    """Raise RetryLater."""
    raise RetryLater("the store is unavailable")


def fails(_context: ReadContext, _item: None) -> None:
    """Fail with a message that quotes a patient."""
    raise KeyError("DOE^JANE")


@dataclass(frozen=True)
class MeanAdapter:
    """Reduces a film to its mean; every prediction is the same. A film of `DEADLY_ROWS` kills the process."""

    outlines_anatomy: bool = False

    def preprocess(self, film: Radiograph) -> Float32:
        """Return the mean."""
        if film.geometry.rows == DEADLY_ROWS:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((1, 1), film.p_values.mean(), np.float32)

    def decode_appearance(self, outputs: Outputs) -> None:
        """Return none: no film is tried turned."""

    def decode_outputs(self, geometry: Geometry, outputs: Outputs) -> Prediction:
        """Return an opacity, if the outputs have the film."""
        if "film" not in outputs:
            raise GiveUp(Reason.MODEL_ERROR, "nothing came back")
        film = Radiograph(
            p_values=np.zeros((geometry.rows, geometry.columns), np.uint16), geometry=geometry, grayscale=""
        )
        return prediction([film])[0]

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:  # noqa: ARG002
        """Return none."""
        return ()


class Echo:
    """A network that returns its input, and counts the films of each batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.adapter = MeanAdapter()

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return the films."""
        self.sizes.append(len(batch))
        return [{"film": film} for film in batch]
