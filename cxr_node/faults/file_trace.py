"""What strace writes of a program's files, and the disk that a power cut would have left at any moment of it.

What has not been flushed may be lost (fsync(2)): bytes until their file is flushed, names until their folder is. The
disk is kept in both states that matter: strictly, without any name that was not flushed, and as journalling file
systems leave it, with all names but without the bytes.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

CALLS = (
    "openat,open,creat,write,pwrite64,lseek,ftruncate,truncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,sendto"
)
"""System calls to trace. Files that are written in any other way are found by `Disk.differences`."""

_FLUSHES = ("fsync", "fdatasync")
_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>)?(?P<text>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)")
_RESULT = re.compile(r"(?P<arguments>.*)\) += (?P<result>-?\d+|\?).*")
_UNFINISHED = " <unfinished ...>"
_DESCRIPTOR = re.compile(r"(?P<number>-?\d+|AT_FDCWD)<(?P<path>[^>]*)>")
_STRING = re.compile(r'"(?P<text>(?:\\x[0-9a-f]{2})*)"')
_NUMBERS = re.compile(r", (-?\d+)(?=,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call; `is_begin` where another thread was seen before it ended: `result` is not known yet then."""

    name: str
    arguments: str
    result: int = 0
    is_begin: bool = False
    is_end: bool = False

    def path(self, place: int = 0) -> str:
        """Return the absolute path of an argument: the `place`-th string, below the folder descriptor before it."""
        strings = list(_STRING.finditer(self.arguments))
        folders = [match for match in _DESCRIPTOR.finditer(self.arguments) if match.start() < strings[place].start()]
        folder = _text(folders[-1]["path"]) if folders else "/"
        return os.path.normpath(PurePosixPath(folder) / _text(strings[place]["text"]))

    @property
    def descriptor(self) -> tuple[str, str]:
        """Number and path of the file of the first argument; the path is empty where it is none."""
        match = _DESCRIPTOR.match(self.arguments)
        return (match["number"], _text(match["path"])) if match else ("", "")

    @property
    def content(self) -> bytes:
        """Bytes of the first string."""
        match = _STRING.search(self.arguments)
        return _bytes(match["text"]) if match else b""

    @property
    def numbers(self) -> list[int]:
        """Plain numbers among the arguments, without the first."""
        return [int(number) for number in _NUMBERS.findall(_STRING.sub('""', self.arguments))]


def calls(trace: Path) -> list[Call]:
    """Return the calls of a file of strace, made with -f -y -xx.

    A call during which another thread was seen stands where it began, since what it did may have been seen by others
    before strace wrote that it ended. A flush yields begin and end.
    """
    records: list[Call] = []
    begun: dict[str, int] = {}
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            thread, text = match["thread"], match["text"]
            if match["resumed"]:
                _resume(records, begun.pop(thread, None), text)
            elif call := _CALL.match(text):
                if text.endswith(_UNFINISHED):
                    begun[thread] = len(records)
                    arguments = call["arguments"].removesuffix(_UNFINISHED)
                    records.append(Call(name=call["name"], arguments=arguments, is_begin=True))
                elif (result := _RESULT.fullmatch(call["arguments"])) and result["result"] != "?":
                    records.append(Call(name=call["name"], arguments=result["arguments"], result=int(result["result"])))
    return records


def _resume(records: list[Call], place: int | None, text: str) -> None:
    """Complete the call that began at a place of the records."""
    result = _RESULT.fullmatch(text)
    if place is None or result is None or result["result"] == "?":
        return
    begin = records[place]
    whole = Call(name=begin.name, arguments=begin.arguments + result["arguments"], result=int(result["result"]))
    if begin.name in _FLUSHES:
        records.append(replace(whole, is_end=True))
    else:
        records[place] = whole


@dataclass(slots=True)
class _File:
    """Bytes of a file as programs see them, and as the last flush left them."""

    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""


@dataclass(slots=True)
class _Folder:
    """Names in a folder as programs see them, and as the last flush left them."""

    names: "dict[str, _File | _Folder]" = field(default_factory=dict)
    flushed: "dict[str, _File | _Folder]" = field(default_factory=dict)


class Disk:
    """The folder `root` while calls are applied to it. What is in it at the beginning is flushed."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._top = _Folder()
        self._positions: dict[tuple[str, int], int] = {}
        self._begun: dict[tuple[str, str], bytes | dict[str, _File | _Folder]] = {}

    def apply(self, call: Call) -> bool:
        """Apply a call; return whether it flushed something of this folder."""
        if call.name in _FLUSHES:
            return self._flush(call)
        if call.is_begin or call.result < 0:
            return False
        match call.name:
            case "openat" | "open" | "creat":
                self._open(call)
            case "write" | "pwrite64":
                self._write(call)
            case "lseek":
                self._seek(call)
            case "ftruncate" | "truncate":
                self._truncate(call)
            case "sendto":
                pass
            case _:
                self._rename(call)
        return False

    def states(self) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """Yield the name and the files, by relative path, of each state that a power cut may leave now."""
        yield "nothing that was not flushed", dict(_files(self._top, is_strict=True))
        yield "all names, bytes as flushed", dict(_files(self._top, is_strict=False))

    def differences(self) -> list[str]:
        """Return the relative paths of files whose bytes are not those of the folder as it is: calls were missed."""
        here = {name: bytes(entry.content) for name, entry in _walk(self._top, is_strict=False)}
        there = {
            path.relative_to(self._root).as_posix(): path.read_bytes()
            for path in Path(self._root).rglob("*")
            if path.is_file()
        }
        return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))

    def _flush(self, call: Call) -> bool:
        """A flush that began before others wrote holds what was written until then."""
        entry = self._entry(call.descriptor[1])
        if entry is None:
            return False
        key = call.descriptor
        if call.is_begin:
            self._begun[key] = bytes(entry.content) if isinstance(entry, _File) else dict(entry.names)
            return False
        if call.result < 0:
            return False
        content = self._begun.pop(key, None)
        if isinstance(entry, _File):
            entry.flushed = content if isinstance(content, bytes) else bytes(entry.content)
        else:
            entry.flushed = content if isinstance(content, dict) else dict(entry.names)
        return True

    def _open(self, call: Call) -> None:
        path = call.path()
        folder, name = self._place(path)
        if folder is None:
            return
        entry = folder.names.get(name)
        if entry is None and "O_CREAT" in call.arguments:
            entry = folder.names[name] = _File()
        if isinstance(entry, _File):
            if "O_TRUNC" in call.arguments:
                entry.content.clear()
            start = len(entry.content) if "O_APPEND" in call.arguments else 0
            self._positions[str(call.result), id(entry)] = start

    def _write(self, call: Call) -> None:
        number, path = call.descriptor
        entry = self._entry(path)
        if not isinstance(entry, _File):
            return
        content = call.content[: call.result]
        key = number, id(entry)
        start = call.numbers[-1] if call.name == "pwrite64" else self._positions.get(key, 0)
        if len(entry.content) < start:
            entry.content.extend(bytes(start - len(entry.content)))
        entry.content[start : start + len(content)] = content
        if call.name == "write":
            self._positions[key] = start + len(content)

    def _seek(self, call: Call) -> None:
        number, path = call.descriptor
        entry = self._entry(path)
        if entry is not None:
            self._positions[number, id(entry)] = call.result

    def _truncate(self, call: Call) -> None:
        entry = self._entry(call.descriptor[1] if call.name == "ftruncate" else call.path())
        if isinstance(entry, _File):
            size = call.numbers[-1]
            del entry.content[size:]
            entry.content.extend(bytes(size - len(entry.content)))

    def _rename(self, call: Call) -> None:
        """Calls that change names alone."""
        folder, name = self._place(call.path())
        if call.name.startswith("mkdir"):
            if folder is not None:
                folder.names[name] = _Folder()
            return
        if call.name in ("unlink", "unlinkat", "rmdir"):
            if folder is not None:
                folder.names.pop(name, None)
            return
        to, new = self._place(call.path(1))
        entry = folder.names.get(name) if folder is not None else None
        if folder is not None and call.name.startswith("rename"):
            folder.names.pop(name, None)
        if to is not None and entry is not None:
            to.names[new] = entry

    def _place(self, path: str) -> tuple[_Folder | None, str]:
        """Return the folder of a path and the name in it; None outside of this folder."""
        parent, _, name = path.rpartition("/")
        folder = self._entry(parent)
        return (folder, name) if isinstance(folder, _Folder) else (None, name)

    def _entry(self, path: str) -> "_File | _Folder | None":
        if path == self._root:
            return self._top
        if not path.startswith(f"{self._root}/"):
            return None
        entry: _File | _Folder | None = self._top
        for part in path.removeprefix(f"{self._root}/").split("/"):
            entry = entry.names.get(part) if isinstance(entry, _Folder) else None
        return entry


def _walk(folder: _Folder, *, is_strict: bool, above: str = "") -> Iterator[tuple[str, _File]]:
    for name, entry in (folder.flushed if is_strict else folder.names).items():
        if isinstance(entry, _File):
            yield f"{above}{name}", entry
        else:
            yield from _walk(entry, is_strict=is_strict, above=f"{above}{name}/")


def _files(folder: _Folder, *, is_strict: bool) -> Iterator[tuple[str, bytes]]:
    return ((name, entry.flushed) for name, entry in _walk(folder, is_strict=is_strict))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(text: str) -> str:
    return os.fsdecode(_bytes(text)) if text.startswith("\\x") else text
