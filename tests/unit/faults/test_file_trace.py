"""Traces of strace, and what a power cut leaves of them."""

from pathlib import Path

import pytest

from cxr_node.faults.file_trace import Disk, calls


def _hex(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def _disk(tmp_path: Path, *lines: str) -> Disk:
    """Return the disk after calls; names in angle brackets are paths below the folder, in quotes texts."""
    root = tmp_path / "data"
    trace = tmp_path / "trace"
    trace.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    disk = Disk(root)
    for call in calls(trace):
        disk.apply(call)
    return disk


def _states(disk: Disk) -> list[dict[str, bytes]]:
    """Return the strict state, and that with all names."""
    return [dict(files) for _, files in disk.states()]


@pytest.fixture
def at(tmp_path: Path) -> str:
    """The folder, as strace writes it."""
    return _hex(str(tmp_path / "data"))


def test_bytes_and_names_are_lost_until_they_are_flushed(tmp_path: Path, at: str) -> None:
    name = f'"{at}{_hex("/a")}"'
    written = (
        f"7 openat(AT_FDCWD<\\x2f>, {name}, O_WRONLY|O_CREAT|O_EXCL, 0600) = 3<{at}{_hex('/a')}>",
        f'7 write(3<{at}{_hex("/a")}>, "{_hex("one")}", 3) = 3',
    )
    flushed = f"7 fsync(3<{at}{_hex('/a')}>) = 0"
    folder = f"7 fsync(4<{at}>) = 0"

    assert _states(_disk(tmp_path, *written)) == [{}, {"a": b""}]
    assert _states(_disk(tmp_path, *written, flushed)) == [{}, {"a": b"one"}]
    assert _states(_disk(tmp_path, *written, folder)) == [{"a": b""}, {"a": b""}]
    assert _states(_disk(tmp_path, *written, flushed, folder)) == [{"a": b"one"}, {"a": b"one"}]


def test_a_renamed_file_has_its_old_name_until_the_folder_is_flushed(tmp_path: Path, at: str) -> None:
    old, new = (f'"{at}{_hex(name)}"' for name in ("/old", "/new"))
    lines = (
        f"7 openat(AT_FDCWD<\\x2f>, {old}, O_WRONLY|O_CREAT, 0600) = 3<{at}{_hex('/old')}>",
        f"7 fsync(4<{at}>) = 0",
        f"7 rename({old}, {new}) = 0",
    )

    assert _states(_disk(tmp_path, *lines)) == [{"old": b""}, {"new": b""}]


def test_a_flush_holds_what_was_written_before_it_began(tmp_path: Path, at: str) -> None:
    file = f"3<{at}{_hex('/a')}>"
    lines = (
        f'7 openat(AT_FDCWD<\\x2f>, "{at}{_hex("/a")}", O_RDWR|O_CREAT, 0600) = {file}',
        f"7 fsync(4<{at}>) = 0",
        f'7 pwrite64({file}, "{_hex("before")}", 6, 0) = 6',
        f"7 fdatasync({file} <unfinished ...>",
        f'8 pwrite64({file}, "{_hex("after")}", 5, 6) = 5',
        "7 <... fdatasync resumed>) = 0",
    )

    assert _states(_disk(tmp_path, *lines)) == [{"a": b"before"}, {"a": b"before"}]


def test_a_name_counts_from_the_begin_of_its_call(tmp_path: Path, at: str) -> None:
    """Another thread sees the folder, and flushes its name, before the end of mkdir is written down."""
    lines = (
        f'7 mkdir("{at}{_hex("/b")}", 0700 <unfinished ...>',
        f'8 mkdir("{at}{_hex("/b")}", 0700) = -1 EEXIST (File exists)',
        f"8 fsync(4<{at}>) = 0",
        "7 <... mkdir resumed>) = 0",
        f'8 openat(AT_FDCWD<\\x2f>, "{at}{_hex("/b/a")}", O_RDWR|O_CREAT, 0600) = 3<{at}{_hex("/b/a")}>',
        f"8 fsync(5<{at}{_hex('/b')}>) = 0",
    )

    assert _states(_disk(tmp_path, *lines)) == [{"b/a": b""}, {"b/a": b""}]


def test_calls_that_failed_change_nothing(tmp_path: Path, at: str) -> None:
    lines = (
        f'7 mkdir("{at}{_hex("/b")}", 0700) = -1 EEXIST (File exists)',
        f'7 openat(AT_FDCWD<\\x2f>, "{at}{_hex("/b/a")}", O_RDWR|O_CREAT, 0600) = -1 ENOENT (No such file)',
        f"7 fsync(4<{at}>) = -1 EIO (Input/output error)",
    )

    assert _states(_disk(tmp_path, *lines)) == [{}, {}]


def test_writing_that_was_not_traced_is_found(tmp_path: Path) -> None:
    disk = _disk(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"by memory map")

    assert disk.differences() == ["a"]
