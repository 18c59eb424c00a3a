"""A compose context in which some films end the process; pool workers import it from here."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from cxr_node.archive.folder import FolderArchive
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.errors import ProcessDied
from cxr_node.pixels.parsing import parse, parse_header
from cxr_node.report.kinds import secondary_capture, tid1500
from cxr_node.report.source import Observer

DEADLY_HEADER, DEADLY_PIXELS = "ENDS PARSING", "ENDS PAINTING"
"""Patient Comments of a film that ends the process that parses its header, or paints it."""


@contextmanager
def deadly_films(die: Callable[[], None]) -> Iterator[None]:
    """Let the parsers of the compose stage call `die` for films with these comments."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cxr_node.composing.film.parse_header", _deadly(parse_header, DEADLY_HEADER, die))
        patched.setattr("cxr_node.composing.study.parse", _deadly(parse, DEADLY_PIXELS, die))
        yield


@contextmanager
def compose_context(archive: Path) -> Iterator[ComposeContext]:
    """Open the context in a process that such films kill. The kinds are the report and the picture."""
    with deadly_films(lambda: os.kill(os.getpid(), signal.SIGKILL)):
        yield ComposeContext(
            archive=FolderArchive(archive), kinds=(tid1500.REPORT, secondary_capture.PICTURE), observer=Observer()
        )


def die() -> None:
    """Fail as an executor does whose process died."""
    raise ProcessDied("the worker process ended with status -9")


def _deadly(parser: Callable[..., Dataset], comments: str, die: Callable[[], None]) -> Callable[..., Dataset]:
    def parse_or_die(content: bytes, **options: Any) -> Dataset:
        dataset = parser(content, **options)
        if dataset.get("PatientComments") == comments:
            die()
        return dataset

    return parse_or_die
