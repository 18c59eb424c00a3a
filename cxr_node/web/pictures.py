"""Pictures and frames of films as they hang."""

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import KeptFile
from cxr_node.process_pool.executor import Executor
from cxr_node.wiring.pictures import Frame, PictureContext, frame, render

_MAX_AGE_S = 86400.0
_CRASH_LIMIT = 2
_MOST_CRASHES = 1000

T = TypeVar("T")


class Pictures:
    """Cache of pictures of archived films, in a folder; renders on first use in `executor`, one film at a time.

    A film that ended its process twice is not rendered again. Frames are not kept: few are asked for twice, and the
    browser keeps them.
    """

    def __init__(self, executor: Executor[PictureContext], folder: Path) -> None:
        self._executor = executor
        self._folder = folder
        self._lock = threading.Lock()
        self._crashes: OrderedDict[str, int] = OrderedDict()

    def get(self, archive_key: str, digest: Digest, kind: str) -> bytes | None:
        """Return a PNG of a film, without metadata; None if the film cannot be rendered."""
        path = self._folder / digest[:2] / f"{digest}-{kind}.png"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        pngs = self._run(render, KeptFile(archive_key=archive_key, digest=digest)) or {}
        for name, picture in pngs.items():
            _write(self._folder / digest[:2] / f"{digest}-{name}.png", picture)
        return pngs.get(kind)

    def frame(self, archive_key: str, digest: Digest) -> Frame | None:
        """Return the P-values of a film; None if it cannot be decoded, or is too large for a browser."""
        return self._run(frame, KeptFile(archive_key=archive_key, digest=digest))

    def _run(self, function: Callable[[PictureContext, KeptFile], T], film: KeptFile) -> T | None:
        with self._lock:
            if self._crashes.get(film.digest, 0) >= _CRASH_LIMIT:
                return None
            try:
                (result,) = self._executor.map(function, [film])
            except ProcessDied:
                self._crashes[film.digest] = self._crashes.get(film.digest, 0) + 1
                if len(self._crashes) > _MOST_CRASHES:
                    self._crashes.popitem(last=False)
                return None
            except GiveUp:
                return None
            return result

    def remove_old(self) -> int:
        """Remove pictures older than a day, so that none outlives its film by more; return their number."""
        old = [path for path in self._folder.glob("*/*.png") if time.time() - path.stat().st_mtime > _MAX_AGE_S]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(uuid.uuid4().hex)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.rename(path)
