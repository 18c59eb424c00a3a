"""Memory of each process of a node after films of 15 MB, and processor time until the first report after a start.

    python -m benchmarks.memory [--films 20] [--set read.engine='"openvino"']

A whole node with default settings runs in its own processes, on SQLite, and a simulated PACS in another. Columns, in
10^6 bytes: resident memory; its proportional share, in which a page of n processes counts as 1/n of each; and private
memory, which no other process has: what one more process of the kind takes.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.end_to_end import benches, machine
from benchmarks.load import processes
from benchmarks.load.tables import markdown

_ENLARGED = 6
_HEADINGS = ("process", "resident", "proportional", "private")


def rows(root: int) -> Iterator[tuple[str, ...]]:
    """Yield name and memory of a process and each below it."""
    for process in processes.family(root):
        try:
            name, memory = process.name(), process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        values = (memory.rss, memory.pss, memory.uss)
        yield (_kind(process, name), *(f"{value / 1e6:.0f}" for value in values))


def _kind(process: psutil.Process, name: str) -> str:
    """Return the role of a process, by its heartbeat, or its module; the supervisor has neither."""
    words = " ".join(process.cmdline()).split()
    beats = [Path(word).name for word in words if "/heartbeats/" in word]
    modules = [word.removeprefix("cxr_node.") for word in words if word.startswith("cxr_node.")]
    kind = next(iter([*beats, *modules]), "supervisor" if "--config" in words else " ".join(words[-2:]) or name)
    parent = process.parent()
    return f"{kind} of {_kind(parent, '')}" if kind == "process_pool" and parent is not None else kind


def main() -> None:
    """Print the processor time of the start, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="of the node")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cxr-memory-") as folder,
        benches(Path(folder), "sqlite", options.set, enlarged=_ENLARGED) as (bench, _),
    ):
        first_s = processes.cpu_s(bench.pid)
        bench.idle(options.films)
        print(f"{machine()}; load {os.getloadavg()[0]:.1f}; start and first film {first_s:.1f} s of processor time")
        for line in markdown(_HEADINGS, rows(bench.pid)):
            print(line)


if __name__ == "__main__":
    main()
