"""Reduced films that reading leaves for composing, in a folder of this host: neither durable nor shared.

A film that is not there is decoded again (decision 0274). Films are named by the digest of their data set.
"""

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.domain.identifiers import Digest

if TYPE_CHECKING:
    from cxr_node.domain.reduced_film import ReducedFilm

MAXIMUM_FILMS = 512
"""At most 0.9 MB each. While as many wait for their study to be composed, no more are added."""
MAXIMUM_AGE_S = 3600.0
"""Age at which one that no composing has used is removed: of a film whose study is not composed, or elsewhere."""


class ReducedFilms:
    """Reduced films in `folder`, which the first one creates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, digest: Digest, film: "ReducedFilm") -> None:
        """Add a film, unless there are `MAXIMUM_FILMS`, or it cannot be written."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.scandir(self._folder) as entries:
                if sum(1 for _ in entries) >= MAXIMUM_FILMS:
                    return
            self._write(digest, film.encoded())

    def _write(self, digest: Digest, encoded: bytes) -> None:
        temporary = self._folder / uuid.uuid4().hex
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                file.write(encoded)
            temporary.rename(self._folder / digest)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def get(self, digest: Digest) -> "ReducedFilm | None":
        """Return a film; None if it is not there, not whole, or of another version of the software."""
        from cxr_node.domain.reduced_film import ReducedFilm  # numpy, which most processes with a folder do not need

        try:
            return ReducedFilm.from_encoded((self._folder / digest).read_bytes())
        except OSError:
            return None

    def discard(self, digest: Digest) -> None:
        """Remove a film, if it is there."""
        with suppress(OSError):
            (self._folder / digest).unlink(missing_ok=True)

    def remove_old(self, *, older_than_s: float = MAXIMUM_AGE_S) -> int:
        """Remove the films older than that; return their number."""
        before = time.time() - older_than_s
        removed = 0
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # composing has removed it just now
                    if entry.stat().st_mtime < before:
                        Path(entry).unlink()
                        removed += 1
        return removed
