"""The settings file: read with its digest, replaced if nobody changed it meanwhile, undone by kept versions."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from cxr_node.domain.errors import cause_of
from cxr_node.domain.files import create_whole, replace_in_place
from cxr_node.domain.identifiers import Digest, digest_of

_VERSIONS = 20
"""Versions kept for undo."""
_WRITE_BITS = 0o222


class EditRefused(Exception):
    """The file was not changed; the sentence says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """Text of the file, digest of its bytes, and why it cannot be replaced, empty if it can."""

    text: str
    digest: Digest
    write_fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of the file that an edit replaced: its text, the digest of the next, and the edit."""

    number: int
    text: str
    next_digest: str
    at: str
    by: str
    keys: tuple[str, ...]

    @property
    def time(self) -> datetime:
        """When it was replaced."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """The file `path`; `versions` is the folder of replaced versions, which is its owner's as they contain secrets."""

    path: Path
    versions: Path

    def read(self) -> FileText:
        """Return the present text.

        Raises
        ------
        EditRefused
            If it cannot be read.
        """
        try:
            content = self.path.read_bytes()
            return FileText(text=content.decode(), digest=digest_of(content), write_fault=self._write_fault())
        except (OSError, UnicodeDecodeError) as error:
            raise EditRefused(f"{self.path} cannot be read ({cause_of(error)})") from error

    def replace(self, text: str, *, expected: Digest, keys: tuple[str, ...], by: str, at: datetime) -> None:
        """Replace the text of digest `expected`, and keep it for undo.

        Raises
        ------
        EditRefused
            If the file is another by now, or cannot be replaced.
        """
        with self._locked():
            present = self._present(expected)
            number = max((version.number for version in self._versions()), default=0) + 1
            version = Version(
                number=number,
                text=present.text,
                next_digest=digest_of(text.encode()),
                at=at.isoformat(),
                by=by,
                keys=keys,
            )
            create_whole(self._place(number), json.dumps(asdict(version)).encode())
            self._write(text)
            for old in self._versions()[_VERSIONS:]:
                self._place(old.number).unlink(missing_ok=True)

    def undoable(self, digest: Digest) -> Version | None:
        """Return the version that the newest edit has replaced by the file of this digest; None if there is none."""
        return next((version for version in self._versions() if version.next_digest == digest), None)

    def undo(self, *, expected: Digest) -> None:
        """Write the version that `undoable` returns for the digest `expected`, and forget it.

        Raises
        ------
        EditRefused
            If the file is another by now, cannot be replaced, or there is no such version.
        """
        with self._locked():
            self._present(expected)
            version = self.undoable(expected)
            if version is None:
                raise EditRefused("the file was changed otherwise since the last edit on this page: edit it again")
            self._write(version.text)
            self._place(version.number).unlink(missing_ok=True)

    def _present(self, expected: Digest) -> FileText:
        present = self.read()
        if present.write_fault:
            raise EditRefused(present.write_fault)
        if present.digest != expected:
            raise EditRefused(
                f"{self.path} was changed by somebody else since this form was opened, and was not written: "
                "open the page of settings again, and repeat the edit"
            )
        return present

    def _write(self, text: str) -> None:
        try:
            replace_in_place(self.path, text.encode())
        except OSError as error:
            raise EditRefused(
                f"{self.path} cannot be replaced ({cause_of(error)}): paste the lines into the file by hand"
            ) from error

    def _write_fault(self) -> str:
        """Return why the file cannot be replaced, as far as its permissions tell."""
        if not self.path.stat().st_mode & _WRITE_BITS:
            return f"{self.path} is read-only: nobody may write it"
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            return f"{self.path} is read-only for the node: its user may not write the file or its folder"
        return ""

    def _versions(self) -> list[Version]:
        """Return the kept versions, newest first; an unreadable one is left out."""
        versions: list[Version] = []
        for path in self.versions.glob("*.json"):
            with suppress(OSError, ValueError, TypeError):
                document = json.loads(path.read_bytes())
                versions.append(Version(**{**document, "keys": tuple(document["keys"])}))
        return sorted(versions, key=lambda version: -version.number)

    def _place(self, number: int) -> Path:
        return self.versions / f"{number:06d}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of this host's edits."""
        try:
            self.versions.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.versions / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EditRefused(f"{self.versions} cannot be written ({cause_of(error)})") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
