"""Audit trail on disk: a file for each day, a line for each message, and the offsets of forwarded messages."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

_OFFSETS_FILE = "forwarded.json"
_READ_BYTES = 1 << 20


Offsets = Mapping[str, int]
"""Bytes of each file that are forwarded; 0 for files without an entry."""


class Journal:
    """Files in `folder`, readable by their owner only. Several processes append at the same time.

    A file is never renamed or rewritten, so that offsets stay valid.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, lines: Sequence[str], *, day: date) -> int:
        """Append lines to the file of `day`, and return the number written, which survive this process.

        They survive a power failure after `flush`. An incomplete line on a full disk is no message; the next message
        begins a new line.

        Raises
        ------
        OSError
            If nothing could be written.
        """
        descriptor = self._open(day)
        try:
            # Without the lock, a partial write of another process would look like a torn message.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            content = b"\n" * is_torn + b"".join(line.encode() + b"\n" for line in lines)
            written = os.write(descriptor, content)
            return len(lines) if written == len(content) else content[is_torn:written].count(b"\n")
        finally:
            os.close(descriptor)

    def _open(self, day: date) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            return os.open(self._file(day), flags, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._file(day), flags, 0o600)

    def flush(self, *, day: date) -> None:
        """Flush the file of `day` to disk."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self._file(day), os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def lines_after(self, offsets: Offsets, *, limit_bytes: int = _READ_BYTES) -> Iterator[tuple[str, str, int]]:
        """Yield complete lines after `offsets`, each with its file and the offset after it.

        Reads every file: a clock may have been set back.
        """
        for path in self._files():
            offset = offsets.get(path.name, 0)
            if limit_bytes <= 0 or path.stat().st_size <= offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                while limit_bytes > 0 and (line := file.readline()).endswith(b"\n"):
                    offset += len(line)
                    limit_bytes -= len(line)
                    yield line[:-1].decode("utf-8", "replace"), path.name, offset

    def unforwarded_bytes(self, offsets: Offsets) -> int:
        """Return the bytes after `offsets`."""
        return sum(max(0, path.stat().st_size - offsets.get(path.name, 0)) for path in self._files())

    def forwarded(self) -> dict[str, int]:
        """Return the offsets of forwarded messages."""
        try:
            offsets = json.loads((self._folder / _OFFSETS_FILE).read_text(encoding="ascii"))
            return {str(name): int(offset) for name, offset in offsets.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # forwards all again: at least once

    def store_forwarded(self, offsets: Offsets) -> None:
        """Store the offsets of forwarded messages, without removed files."""
        names = {path.name for path in self._files()}
        temporary = self._folder / f".{_OFFSETS_FILE}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({name: offset for name, offset in offsets.items() if name in names}, file)
        temporary.replace(self._folder / _OFFSETS_FILE)

    def remove(self, *, before: date, forwarded: Offsets | None) -> int:
        """Remove files of days before `before`, if `forwarded` is given only those forwarded to the end."""
        old = [path for path in self._files() if path.name < self._file(before).name]
        removable = [path for path in old if forwarded is None or path.stat().st_size <= forwarded.get(path.name, 0)]
        for path in removable:
            path.unlink(missing_ok=True)
        return len(removable)

    def _file(self, day: date) -> Path:
        return self._folder / f"audit-{day.isoformat()}.xml"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("audit-*.xml"))
