"""Client of the load sender: starts the process, sends orders, stops it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks.load.sender import Answer, Order
from tests.support.films import ROOT


class Sending:
    """A running load sender."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def begin(self, order: Order) -> None:
        """Send an order."""
        if self._process.stdin is None:
            raise RuntimeError("the sender has no standard input")
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()

    def end(self) -> Answer:
        """Wait for the answer to the last order."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError("the sender ended; its output is above")
        answer = json.loads(line)
        return Answer(**(answer | {"films": [tuple(film) for film in answer["films"]]}))

    def send(self, order: Order) -> Answer:
        """Send an order and wait for its answer."""
        self.begin(order)
        return self.end()


@contextmanager
def sender() -> Iterator[Sending]:
    """Run a load sender until the end of the block."""
    command = [sys.executable, "-m", "benchmarks.load.sender"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield Sending(process)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait(60)
