"""Temporary PostgreSQL server, from the binaries of this machine."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_USERS = ("postgres", "nobody")
_START_S = 600
"""Upper bound for a busy machine. `pg_ctl -w` ends at once if the server ends."""
_WAIT = ("-w", "-t", str(_START_S))
_LOG_CHARACTERS = 2000
_END_S = 30


class NoServer(Exception):
    """PostgreSQL is not installed, or does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; `url` is that of its database `postgres`."""

    binaries: Path
    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        """Its URL, over a Unix socket in its folder."""
        name = self.user or pwd.getpwuid(os.geteuid()).pw_name
        return f"postgresql+psycopg://{name}@/postgres?host={quote(str(self.folder), safe='')}"

    def restart(self, *, mode: str = "fast") -> None:
        """Restart: mode "fast" ends transactions, "immediate" stops without a checkpoint, as after a power cut."""
        self.stop(mode=mode)
        self.start()

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        options = f"-k {self.folder} -c listen_addresses= -c max_connections=60"
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self.folder / "log"), *_WAIT, "start")

    def stop(self, *, mode: str = "fast") -> None:
        """Stop it."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, *_WAIT, "stop")

    def create(self) -> None:
        """Create the data folder."""
        self._run("initdb", "-D", str(self._data), "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, name: str, *arguments: str) -> None:
        finished = subprocess.run(  # noqa: S603  # a PostgreSQL of this machine
            [self.binaries / name, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
            timeout=_START_S + _END_S,
            check=False,
        )
        if finished.returncode:
            sentence = f"{name} of PostgreSQL in {self.binaries} ended with status {finished.returncode}"
            raise NoServer(f"{sentence}; the server's log ends with: {self._end_of_log()}")

    def _end_of_log(self) -> str:
        log = self.folder / "log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return text[-_LOG_CHARACTERS:].strip() or "(nothing)"


def binaries(more: Sequence[Path] = ()) -> Path:
    """Return the folder of the newest PostgreSQL on this machine, else the first in `more`, or raise NoServer."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    for pattern in _FOLDERS:
        folders += sorted(Path("/").glob(pattern.removeprefix("/")), key=_version, reverse=True)
    for folder in [*folders, *more]:
        if (folder / "initdb").is_file() and (folder / "pg_ctl").is_file():
            return folder
    raise NoServer("no PostgreSQL on this machine: install initdb and pg_ctl (on Debian: apt-get install postgresql)")


@contextmanager
def running(binaries: Path) -> Iterator[Server]:
    """Run a server from these binaries while the block lasts."""
    # A socket path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="cxr-pg-") as name:
        folder, user = Path(name), _user()
        if user is not None:
            shutil.chown(folder, user)
        server = Server(binaries=binaries, folder=folder, user=user)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop(mode="immediate")


def _user() -> str | None:
    """Return the account to run as, None for the present one: PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name for account in pwd.getpwall()}
    for name in _USERS:
        if name in accounts:
            return name
    raise NoServer("PostgreSQL does not run as root: add a user postgres or nobody")


def _version(folder: Path) -> float:
    digits = folder.parent.name.removeprefix("pgsql-").removeprefix("postgresql@")
    return float(digits) if digits.replace(".", "", 1).isdecimal() else 0.0
