"""The trail on disk: a file for each day, a line for each message, and how far it has been told to a receiver."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

_TOLD = "told.json"
_READ_BYTES = 1 << 20


Told = Mapping[str, int]
"""How far the trail has been told to a receiver: bytes of each file, none of those that are not named."""


class Journal:
    """Files in `folder`, for their owner alone. Several processes append at the same time.

    A file is never renamed or written anew, so that a place in it stays what it was.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, lines: Sequence[str], *, day: date) -> int:
        """Add lines to the file of `day`, and return how many of them: they outlive this process at once.

        The machine they outlive after `flush`. What a disk took of a line that it did not take whole is no message,
        and the next one begins a new line.

        Raises
        ------
        OSError
            If nothing could be written.
        """
        descriptor = self._opened(day)
        try:
            # Or the end of what another process is just writing would be taken for the end of a torn message.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            content = b"\n" * is_torn + b"".join(line.encode() + b"\n" for line in lines)
            written = os.write(descriptor, content)
            return len(lines) if written == len(content) else content[is_torn:written].count(b"\n")
        finally:
            os.close(descriptor)

    def _opened(self, day: date) -> int:
        how = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            return os.open(self._file(day), how, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._file(day), how, 0o600)

    def flush(self, *, day: date) -> None:
        """Have the file of `day` on the disk."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self._file(day), os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def after(self, told: Told, *, limit_bytes: int = _READ_BYTES) -> Iterator[tuple[str, str, int]]:
        """Yield the whole lines that are not told, each with its file and the place after it.

        A last one without an end waits. Every file is looked at: a clock may have gone back.
        """
        for path in self._files():
            offset = told.get(path.name, 0)
            if limit_bytes <= 0 or path.stat().st_size <= offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                while limit_bytes > 0 and (line := file.readline()).endswith(b"\n"):
                    offset += len(line)
                    limit_bytes -= len(line)
                    yield line[:-1].decode("utf-8", "replace"), path.name, offset

    def waiting_bytes(self, told: Told) -> int:
        """Return how much is not told."""
        return sum(max(0, path.stat().st_size - told.get(path.name, 0)) for path in self._files())

    def told(self) -> dict[str, int]:
        """Return how far the trail has been told."""
        try:
            found = json.loads((self._folder / _TOLD).read_text(encoding="ascii"))
            return {str(name): int(offset) for name, offset in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # told twice is better than not at all

    def note_told(self, told: Told) -> None:
        """Remember how far the trail has been told; what is no longer there is forgotten."""
        there = {path.name for path in self._files()}
        aside = self._folder / f".{_TOLD}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({name: offset for name, offset in told.items() if name in there}, file)
        aside.replace(self._folder / _TOLD)

    def remove(self, *, before: date, told: Told | None) -> int:
        """Remove the files of days before that, those alone that are `told` to the end if that is given."""
        old = [path for path in self._files() if path.name < self._file(before).name]
        gone = [path for path in old if told is None or path.stat().st_size <= told.get(path.name, 0)]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _file(self, day: date) -> Path:
        return self._folder / f"audit-{day.isoformat()}.xml"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("audit-*.xml"))
