"""Simulated PACS in its own process: reports the arrival time of each study's result.

    python -m benchmarks.load.pacs FOLDER

All processes of a machine share the monotonic clock, so its times compare with the sender's.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node.simulators.pacs import SimulatedPacs, StoredObject
from tests.support.films import ROOT


class Inbox:
    """Arrival times of each study's first result so far, in seconds of the monotonic clock."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._came: dict[str, float] = {}
        self._changed = threading.Condition()
        self.port = int(json.loads(self._line())["port"])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self, studies: set[str], *, timeout_s: float) -> dict[str, float]:
        """Wait for a result of each study, and return the arrival times.

        Raises
        ------
        TimeoutError
            If one does not arrive within `timeout_s` of the one before it.
        """
        with self._changed:
            while missing := studies - self._came.keys():
                before = len(self._came)
                if not self._changed.wait(timeout_s) and len(self._came) == before:
                    raise TimeoutError(f"no result of {len(missing)} studies within {timeout_s:.0f} s")
            return {study: self._came[study] for study in studies}

    def _line(self) -> str:
        return self._process.stdout.readline() if self._process.stdout is not None else ""

    def _read(self) -> None:
        while line := self._line():
            message = json.loads(line)
            with self._changed:
                self._came.setdefault(message["study"], message["at"])
                self._changed.notify_all()


@contextmanager
def inbox(folder: Path) -> Iterator[Inbox]:
    """Run the PACS until the end of the block."""
    command = [sys.executable, "-m", "benchmarks.load.pacs", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield Inbox(process)
    finally:
        process.terminate()
        process.wait(30)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Serve until standard input ends."""

    def on_stored(stored: StoredObject) -> None:
        print(json.dumps({"study": stored.study_instance_uid, "at": stored.at}), flush=True)

    folder = Path(sys.argv[1])
    with SimulatedPacs(folder, require_called_ae_title=False, on_stored=on_stored) as pacs:
        print(json.dumps({"port": pacs.port}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
