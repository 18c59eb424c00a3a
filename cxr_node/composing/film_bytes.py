"""Bytes of films, read from the archive once for the header and the picture of a film."""

from cxr_node.archive.integrity import ArchivedObject, read_intact
from cxr_node.archive.store import Archive
from cxr_node.domain.identifiers import Digest


class FilmBytes:
    """Reads films, and holds the bytes of the last one until `read_again` returns them: at most one film in memory.

    They were compared with the digest of the film's row when they were read (decision 0159).
    """

    def __init__(self) -> None:
        self._last: tuple[str, Digest, bytes] | None = None

    def read(self, archive: Archive, film: ArchivedObject) -> bytes:
        """Return the bytes of a film, and hold them; raise as `read_intact`."""
        self._last = None  # two films at a time are never held
        content = read_intact(archive, film)
        self._last = film.archive_key, film.digest, content
        return content

    def read_again(self, archive: Archive, film: ArchivedObject) -> bytes:
        """Return the bytes of a film, those held if they are its own; none are held then."""
        last, self._last = self._last, None
        if last is not None and last[:2] == (film.archive_key, film.digest):
            return last[2]
        return read_intact(archive, film)

    def let_go(self) -> None:
        """Hold no bytes any more."""
        self._last = None
