"""Files of a trial: in folders, in zip archives and named by DICOMDIRs, each readable within a limit of memory.

Nothing is unpacked to disk, no link to a folder is followed, and no path of a file's content is opened.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from cxr_node.ops.trial import dicomdir
from cxr_node.ops.trial.rows import Answer, NotAdmitted, Obstacle

_HEAD_BYTES = 1 << 20
"""Room for preamble and File Meta Information beside the data set."""
_PROBE_BYTES = 140
_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
_MOST_MEMBERS = 100_000
_LARGEST_READ_BYTES = 64 << 20
"""Bound of the list of a zip archive's files, which `zipfile` reads in one piece."""
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods whose decompressor `zipfile` bounds at each read."""
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, or a file in a zip archive by its place in the list; with a `problem` it is not opened."""

    name: str
    path: Path
    member: int | None = None
    member_name: str = ""
    problem: NotAdmitted | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the path, into the archive."""
        return (*self.path.parts, *self.member_name.split("/")) if self.member_name else self.path.parts


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Return the files in `paths`, sorted; those of a DICOMDIR that are not there have a problem.

    A path is a folder, a DICOM file, a zip archive or a DICOMDIR, which stands for the files that it names.
    """
    sources: list[Source] = []
    for path in paths:
        named_by = path if dicomdir.is_name(path.name) and path.is_file() else None
        root = path.parent if named_by is not None else path
        base = root if root.is_dir() else root.parent
        listed = list(_of_folder(root) if root.is_dir() else _of_file(root))
        shortened = [replace(source, name=_shown(source, base, is_alone=len(paths) == 1)) for source in listed]
        sources += _with_references(shortened, named_by)
    return sources


def spread(sources: Sequence[Source], limit: int) -> list[Source]:
    """Return at most `limit` of the sources, spread evenly over all of them, in their order."""
    if len(sources) <= limit:
        return list(sources)
    return [sources[number * len(sources) // limit] for number in range(limit)]


class SourceReader:
    """Reads sources; keeps the zip archive of the last one open. Close it, or use `with`. For one thread."""

    def __init__(self, *, maximum_object_bytes: int) -> None:
        self._maximum_object_bytes = maximum_object_bytes
        self._archive: tuple[Path, zipfile.ZipFile] | None = None

    def __enter__(self) -> "SourceReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the open archive."""
        archive, self._archive = self._archive, None
        if archive is not None:
            archive[1].close()

    def read(self, source: Source) -> bytes:
        """Return the bytes of a file that begins as a DICOM file.

        Raises
        ------
        NotAdmitted
            If it does not, cannot be read, or is larger than the limit.
        """
        if source.problem is not None:
            raise source.problem
        if source.member is None:
            try:
                with _opened(source.path) as file:
                    return self._bounded(file)
            except OSError as error:
                raise _unreadable(error) from None
        return self._read_member(source, source.member)

    def _read_member(self, source: Source, member: int) -> bytes:
        try:
            if self._archive is None or self._archive[0] != source.path:
                self.close()
                self._archive = (source.path, _open_zip(source.path))
            archive = self._archive[1]
            entry = archive.infolist()[member]
            if entry.flag_bits & _ENCRYPTED:
                raise _in_archive("it is encrypted")
            if entry.compress_type not in _METHODS:
                raise _in_archive("it is compressed by another method than Deflate")
            with archive.open(entry) as file:
                return self._bounded(file)
        except _ZIP_ERRORS as error:
            raise _in_archive(_words(error)) from None

    def _bounded(self, file: IO[bytes]) -> bytes:
        beginning = file.read(_PROBE_BYTES)
        if beginning.startswith(_ZIP_BEGINNINGS):
            raise NotAdmitted(Answer.NO_FILM, Obstacle.ARCHIVE, "an archive within an archive is not opened")
        if not _begins_as_dicom(beginning):
            raise NotAdmitted(Answer.NO_FILM, Obstacle.NOT_DICOM, "neither the prefix DICM nor a data set")
        limit = self._maximum_object_bytes + _HEAD_BYTES
        rest = file.read(limit + 1 - len(beginning))
        if len(beginning) + len(rest) > limit:
            raise NotAdmitted(Answer.REJECTED, Obstacle.OBJECT_SIZE, f"more than {self._maximum_object_bytes} bytes")
        return beginning + rest


def _begins_as_dicom(beginning: bytes) -> bool:
    """Whether a file has the prefix, or begins with an element of group 0002 or 0008 as files without it do."""
    if beginning[128:132] == b"DICM":
        return True
    group, element = struct.unpack_from("<HH", beginning.ljust(4, b"\0"))
    return len(beginning) > 8 and group in (0x0002, 0x0008) and element < 0x0100


def _of_folder(folder: Path) -> Iterator[Source]:
    problems: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=problems.append):
        folders.sort()
        for name in sorted(names):
            yield from _of_file(Path(parent, name))
    for error in problems:
        yield Source(name="", path=Path(os.fsdecode(error.filename or folder)), problem=_unreadable(error))


def _of_file(path: Path) -> Iterator[Source]:
    try:
        with _opened(path) as file:
            is_zip = file.read(4) in _ZIP_BEGINNINGS
    except OSError as error:
        yield Source(name="", path=path, problem=_unreadable(error))
        return
    if is_zip:
        yield from _of_zip(path)
    else:
        yield Source(name="", path=path)


def _of_zip(path: Path) -> Iterator[Source]:
    try:
        with _open_zip(path) as archive:
            members = [(number, entry.filename, entry.is_dir()) for number, entry in enumerate(archive.infolist())]
    except _ZIP_ERRORS as error:
        yield Source(name="", path=path, problem=_in_archive(_words(error)))
        return
    for number, name, is_folder in members[:_MOST_MEMBERS]:
        parts = name.replace("\\", "/").split("/")
        if is_folder:
            continue
        problem = None
        if ".." in parts or not parts[0] or ":" in parts[0]:
            problem = NotAdmitted(Answer.NO_FILM, Obstacle.NAME, "a file of the archive is not opened by such a name")
        yield Source(name="", path=path, member=number, member_name=name, problem=problem)
    if len(members) > _MOST_MEMBERS:
        detail = f"it has {len(members)} files; those behind the first {_MOST_MEMBERS} are left out"
        yield Source(name="", path=path, problem=_in_archive(detail))


def _with_references(sources: list[Source], named_by: Path | None) -> list[Source]:
    """Return the sources with the files that DICOMDIRs name in vain; of one DICOMDIR, only the files it names."""
    known = {dicomdir.folded(source.parts) for source in sources}
    with SourceReader(maximum_object_bytes=dicomdir.MAXIMUM_BYTES) as reader:
        for number, source in enumerate(sources):
            is_chosen = named_by is not None and source.path == named_by
            if not dicomdir.is_name(source.parts[-1]) or (named_by is not None and not is_chosen):
                continue
            try:
                references = dicomdir.references(reader.read(source))
            except NotAdmitted as error:
                sources[number] = replace(source, problem=error)
                continue
            parent = source.parts[:-1]
            wanted = {dicomdir.folded((*parent, *reference)) for reference in references}
            missing = [reference for reference in references if dicomdir.folded((*parent, *reference)) not in known]
            counted = NotAdmitted(
                Answer.NO_FILM, Obstacle.DICOMDIR, f"files that it names: {len(references)}; not there: {len(missing)}"
            )
            sources[number] = replace(source, problem=counted)
            if is_chosen:
                sources = [one for one in sources if one.path == named_by or dicomdir.folded(one.parts) in wanted]
            sources += [_missing(source, reference) for reference in missing]
            if is_chosen:
                break
    return sources


def _missing(source: Source, reference: tuple[str, ...]) -> Source:
    if dicomdir.leads_out(reference):
        problem = NotAdmitted(Answer.NO_FILM, Obstacle.NAME, f"named by {source.name}, and not opened")
    else:
        problem = NotAdmitted(Answer.NO_FILM, Obstacle.MISSING, f"named by {source.name}")
    folder = source.name.rpartition("/")[0]
    name = printable("/".join((folder, *reference) if folder else reference))
    return Source(name=name, path=source.path, problem=problem)


def _shown(source: Source, base: Path, *, is_alone: bool) -> str:
    """Return the name of a source: relative to the folder of the trial, if there is only one."""
    path = source.path.relative_to(base) if is_alone and source.path.is_relative_to(base) else source.path
    return printable(f"{path}/{source.member_name}" if source.member_name else str(path))


def printable(name: str) -> str:
    """Return a file name in printable characters, with ? for each other one."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file; another kind could wait for ever.

    Raises
    ------
    OSError
        If it is no regular file, or cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("no regular file")
    return path.open("rb")


class _BoundedFile:
    """A file for `zipfile` that refuses to read more than a bound at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close, self.seekable = file.seek, file.tell, file.close, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read; raise BadZipFile beyond the bound."""
        if size > _LARGEST_READ_BYTES:
            raise zipfile.BadZipFile(f"its list of files is longer than {_LARGEST_READ_BYTES} bytes")
        return self._file.read(size)


class _OwnedZip(zipfile.ZipFile):
    """A zip archive that closes the file it was given."""

    def __init__(self, file: IO[bytes]) -> None:
        self._given = file
        try:
            super().__init__(_BoundedFile(file))
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Close the archive and its file."""
        super().close()
        self._given.close()


def _open_zip(path: Path) -> zipfile.ZipFile:
    return _OwnedZip(_opened(path))


def _unreadable(error: OSError) -> NotAdmitted:
    return NotAdmitted(Answer.NO_FILM, Obstacle.UNREADABLE, error.strerror or str(error))


def _in_archive(detail: str) -> NotAdmitted:
    return NotAdmitted(Answer.NO_FILM, Obstacle.ARCHIVE, detail)


def _words(error: Exception) -> str:
    """Return what is wrong with an archive; a message of a library may quote a name."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case _:
            return "it is damaged"
