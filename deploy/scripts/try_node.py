"""Trial of an installed node: settings, start, a phantom by C-STORE, its report at a PACS, stop.

    python3 deploy/scripts/try_node.py .venv/bin/cxr-node

Needs Python and DCMTK (storescu, storescp) only, nothing of the node but its command, so that it tries any
installation: a wheel, a package, a unit, a container. With --running the node runs already, such as under systemd; its
destination must then be STORESCP at the port of --pacs-port.

Exit status: 0 the report came, 1 it did not, 3 nothing was tried because DCMTK is missing.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
ROLES = frozenset({"receive", "read", "deliver", "admin"})
COMMAND_S, START_S, REPORT_S, STOP_S = 600.0, 600.0, 300.0, 60.0
POLL_S = 0.05
DCMTK_MISSING = 3
_PASSWORD = "nine small green frogs"  # noqa: S105  # of a user that ends with the trial
_FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"))
"""Of DCMTK: the pynetdicom wheel installs scripts of the same names."""


class TrialFailed(Exception):
    """A step did not work; the sentence says which."""


def main() -> int:
    """Try the node of the command line."""
    parser = argparse.ArgumentParser(description="Try an installed node with a phantom.")
    parser.add_argument("--running", metavar="AETITLE@HOST:PORT", help="a node that runs already")
    parser.add_argument("--pacs-port", type=int, default=0, help="port of the PACS; 0: any free one")
    parser.add_argument("command", nargs="+", help="the command cxr-node, and what stands before it")
    options = parser.parse_args()
    storescu, storescp = (
        next((folder / name for folder in _FOLDERS if (folder / name).is_file()), None)
        for name in ("storescu", "storescp")
    )
    if storescu is None or storescp is None:
        print("not tried: storescu and storescp are missing; on Debian: apt-get install dcmtk")
        return DCMTK_MISSING
    # The steps have a folder of their own as working directory.
    command = [str(Path(word).absolute()) if Path(word).exists() else word for word in options.command]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cxr-node-trial-") as folder:
        trial = Trial(command, Path(folder), storescu=storescu, pacs_port=options.pacs_port or free_port())
        try:
            with pacs(storescp, Path(folder) / "pacs", trial.pacs_port):
                trial.run(options.running)
        except TrialFailed as failure:
            print(f"FAILED: {failure}")
            return 1
    print(f"the report of a phantom came; all steps took {time.monotonic() - begun:.1f} s")
    return 0


class Trial:
    """The steps of a trial, each printed with its seconds. `command` is that of the node."""

    def __init__(self, command: Sequence[str], folder: Path, *, storescu: Path, pacs_port: int) -> None:
        self.pacs_port = pacs_port
        self._command, self._folder, self._storescu = command, folder, storescu

    def run(self, running: str | None) -> None:
        """Run all steps; `running` is AETITLE@HOST:PORT of a node that runs already."""
        with step("version"):
            print(self._cxr_node("--version").strip())
        with step("phantom"):
            self._cxr_node("phantom", "films", "films", "--count", "1")
        (film,) = (self._folder / "films").glob("*.dcm")
        if running:
            self._send(film, running)
            return
        port = free_port()
        with step("init"):
            settings = self._init(port)
        with self._started(settings):
            self._send(film, f"CXRTRIAL@{LOOPBACK}:{port}")

    def _init(self, port: int) -> Path:
        settings = self._folder / "cxr-node.toml"
        pacs_address = f"STORESCP@{LOOPBACK}:{self.pacs_port}"
        options = ["--ae-title", "CXRTRIAL", "--port", str(port), "--pacs", pacs_address, "--user", "kim"]
        self._cxr_node("init", "--yes", "--config", str(settings), *options, text=f"{_PASSWORD}\n")
        # The default port of the page may be in use.
        text = settings.read_text(encoding="utf-8").replace("[web]\n", "[web]\nport = 0\n")
        settings.write_text(text, encoding="utf-8")
        return settings

    @contextmanager
    def _started(self, settings: Path) -> Iterator[None]:
        """Run the node while the block lasts; it begins when every role is ready."""
        log = self._folder / "node.log"
        command = [*self._command, "run", "--json", "--config", str(settings)]
        ready: set[str] = set()
        with log.open("w") as errors, step("start"):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            listener = threading.Thread(target=_collect, args=(process, ready), daemon=True)
            listener.start()
            until(lambda: ready >= ROLES or process.poll() is not None, START_S, "the node was not ready in time")
        try:
            if process.poll() is not None:
                raise TrialFailed(f"the node ended with status {process.returncode}: {log.read_text()[-2000:]}")
            yield
            with step("stop"):
                process.terminate()
                if status := process.wait(STOP_S):
                    raise TrialFailed(f"the node ended with status {status}: {log.read_text()[-2000:]}")
        finally:
            process.kill()
            process.wait()
            listener.join(STOP_S)

    def _send(self, film: Path, node: str) -> None:
        """Send a film to AETITLE@HOST:PORT, and wait for its report."""
        title, _, address = node.partition("@")
        host, _, port = address.rpartition(":")
        with step("C-STORE"):
            run([str(self._storescu), "-aet", "DX1", "-aec", title, host, port, str(film)], self._folder)
        with step("report"):
            until(lambda: any((self._folder / "pacs").glob("SR*")), REPORT_S, "no report came to the PACS")

    def _cxr_node(self, *arguments: str, text: str = "") -> str:
        return run([*self._command, *arguments], self._folder, text=text)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the seconds of a step."""
    begun = time.monotonic()
    yield
    print(f"  {name:8} {time.monotonic() - begun:6.1f} s", flush=True)


@contextmanager
def pacs(storescp: Path, folder: Path, port: int) -> Iterator[None]:
    """Run DCMTK's storescp while the block lasts; it stores in `folder`."""
    folder.mkdir()
    process = subprocess.Popen([storescp, "-aet", "STORESCP", "-od", folder, str(port)])
    try:
        until(lambda: process.poll() is not None or _listens(port), START_S, "storescp does not listen")
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)


def run(command: Sequence[str], folder: Path, *, text: str = "") -> str:
    """Run a command in a folder, and return its standard output; raise TrialFailed if it fails."""
    ended = subprocess.run(
        command, cwd=folder, input=text, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    if ended.returncode != 0:
        raise TrialFailed(f"{' '.join(command)} ended with status {ended.returncode}: {ended.stdout}{ended.stderr}")
    return ended.stdout


def until(condition: Callable[[], bool], timeout_s: float, failure: str) -> None:
    """Wait until a condition holds; raise TrialFailed if it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TrialFailed(failure)
        time.sleep(POLL_S)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _collect(process: subprocess.Popen[str], ready: set[str]) -> None:
    """Add each role that the node says is ready."""
    for line in process.stdout or ():
        ready.add(json.loads(line)["role"])


if __name__ == "__main__":
    sys.exit(main())
