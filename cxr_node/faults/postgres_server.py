"""A PostgreSQL server of the suite's own, in a temporary folder, from the machine's binaries."""

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

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_USERS = ("postgres", "nobody")
_START_S = 60


class NoServer(Exception):
    """There are no binaries to start a server with, or it does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; `url` is that of its database `postgres`."""

    binaries: Path
    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        """How it is reached: through a socket in its folder, by nobody else."""
        name = self.user or pwd.getpwuid(os.geteuid()).pw_name
        return f"postgresql+psycopg://{name}@/postgres?host={quote(str(self.folder), safe='')}"

    def restart(self, *, mode: str = "fast") -> None:
        """Stop it as `mode` says ("fast" ends transactions, "immediate" as a power cut would) and start it again."""
        self.stop(mode=mode)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c max_connections=60"
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, *, mode: str = "fast") -> None:
        """Stop it."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def make(self) -> None:
        """Make its data folder."""
        self._run("initdb", "-D", str(self._data), "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, name: str, *arguments: str) -> None:
        ended = subprocess.run(  # noqa: S603  # the machine's own PostgreSQL, found by its place
            [self.binaries / name, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
            timeout=_START_S,
            check=False,
        )
        if ended.returncode:
            raise NoServer(f"{name} of PostgreSQL in {self.binaries} ended with status {ended.returncode}")


def binaries(also: Sequence[Path] = ()) -> Path:
    """Return the folder of the newest PostgreSQL on this machine, those in `also` last, or raise NoServer."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    for place in _PLACES:
        found += sorted(Path("/").glob(place.removeprefix("/")), key=_version, reverse=True)
    for folder in [*found, *also]:
        if (folder / "initdb").is_file() and (folder / "pg_ctl").is_file():
            return folder
    raise NoServer("there is no PostgreSQL on this machine (initdb and pg_ctl; on Debian: apt-get install postgresql)")


@contextmanager
def running(binaries: Path) -> Iterator[Server]:
    """Run a server from these binaries while the block lasts."""
    # The path of its socket must be short.
    with tempfile.TemporaryDirectory(prefix="cxr-pg-") as name:
        folder, user = Path(name), _user()
        if user is not None:
            shutil.chown(folder, user)
        server = Server(binaries=binaries, folder=folder, user=user)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop(mode="immediate")


def _user() -> str | None:
    """Return as whom it must run: PostgreSQL refuses the superuser."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    for name in _USERS:
        if name in known:
            return name
    raise NoServer("PostgreSQL does not run as the superuser, and there is no user postgres or nobody")


def _version(folder: Path) -> float:
    digits = folder.parent.name.removeprefix("pgsql-").removeprefix("postgresql@")
    return float(digits) if digits.replace(".", "", 1).isdecimal() else 0.0
