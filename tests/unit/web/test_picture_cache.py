"""Pictures of the page: rendered once, and not again for a film that ends the process that renders it."""

from pathlib import Path

import pytest

from cxr_node.archive.folder import FolderArchive
from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import KeptFile
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.limits import Limits
from cxr_node.process_pool.executor import InProcess
from cxr_node.web.pictures import Pictures
from cxr_node.wiring.pictures import PictureContext

DIGEST = Digest("ab" * 32)


class Rendering:
    """Stands for `render`: counts its calls, and returns two pictures or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self._error = error

    def __call__(self, _context: PictureContext, _film: KeptFile) -> dict[str, bytes]:
        """Return a picture of each kind."""
        self.calls += 1
        if self._error is not None:
            raise self._error
        return {"film": b"large", "thumbnail": b"small"}


def pictures(folder: Path, patch: pytest.MonkeyPatch, rendering: Rendering) -> Pictures:
    """Return a cache over a stub."""
    patch.setattr("cxr_node.web.pictures.render", rendering)
    return Pictures(InProcess(PictureContext(archive=FolderArchive(folder / "archive"), limits=Limits())), folder)


def test_both_kinds_of_picture_are_rendered_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendering = Rendering()
    cache = pictures(tmp_path, monkeypatch, rendering)

    assert cache.get("key", DIGEST, "film") == b"large"
    assert cache.get("key", DIGEST, "thumbnail") == b"small"
    assert rendering.calls == 1


def test_a_film_that_ends_its_process_is_not_rendered_a_third_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Rendering(ProcessDied("the worker process ended with status -9"))
    cache = pictures(tmp_path, monkeypatch, rendering)

    assert [cache.get("key", DIGEST, "film") for _ in range(4)] == [None] * 4
    assert rendering.calls == 2


def test_a_film_that_cannot_be_rendered_has_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = pictures(tmp_path, monkeypatch, Rendering(GiveUp(Reason.DECODE, "damaged")))

    assert cache.get("key", DIGEST, "film") is None
