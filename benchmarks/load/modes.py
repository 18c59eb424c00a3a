"""More benchmarks of receivers: idle associations, memory, DCMTK's storescu with default settings."""

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.load import films, processes
from benchmarks.load.receivers import PEERS, Receiver, Unfit
from benchmarks.load.rounds import Runs, Spread
from benchmarks.load.sender import Order
from benchmarks.load.sender_process import Sending, sender
from tests.support import peers

Line = Sequence[str]
Mode = Callable[[argparse.Namespace, Path, Sequence[Receiver]], tuple[Line, Iterable[Line]]]
_SETTLE_S = 1.0
_SAMPLES = 10
_TRIAL = 10
_START_SHARE = 10
"""A start-up longer than nine tenths of the time was slow by chance."""
_MAX_STORED_BYTES = 400e6


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of each benchmark."""
    parser.add_argument("--idle", type=int, metavar="N", help="open N associations, idle for --idle-seconds")
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--flat", type=int, metavar="N", help="N films to each, with the memory after each tenth")
    parser.add_argument("--storescu", action="store_true", help="DCMTK's storescu as shipped, one association")
    parser.add_argument("--storescu-seconds", type=float, default=2.0, help="approximate length of one of its turns")


def peers_of(arguments: argparse.Namespace) -> Sequence[str]:
    """Return the peers of the comparison by default."""
    if arguments.idle is not None:
        return ("pynetdicom minimal",)
    if arguments.flat is not None:
        return ()
    return ("storescp", "storescp nodelay", "orthanc", "pynetdicom") if arguments.storescu else PEERS


def chosen(arguments: argparse.Namespace) -> Mode | None:
    """Return the requested benchmark, None for receive throughput."""
    if arguments.idle is not None:
        return idle
    if arguments.flat is not None:
        return flat
    return shipped if arguments.storescu else None


def idle(arguments: argparse.Namespace, folder: Path, receivers: Sequence[Receiver]) -> tuple[Line, Iterable[Line]]:
    """Return the cost of idle associations at each receiver."""

    def lines() -> Iterator[Line]:
        path = films.write(folder, "10 kB DX")
        with sender() as sending:
            for receiver in receivers:
                shares: list[float] = []
                refused = 0
                for _ in range(arguments.rounds):
                    open_s = arguments.idle_seconds + 2 * _SETTLE_S
                    sending.begin(
                        Order(port=receiver.port, path=str(path), run=0, senders=arguments.idle, idle_s=open_s)
                    )
                    time.sleep(_SETTLE_S)  # until all are open
                    before, began = processes.cpu_s(receiver.pid), time.monotonic()
                    time.sleep(arguments.idle_seconds)
                    shares.append((processes.cpu_s(receiver.pid) - before) / (time.monotonic() - began))
                    refused = max(refused, sending.end().refused)
                yield (
                    receiver.name,
                    str(arguments.idle - refused),
                    str(Spread.of(100 * share for share in shares)),
                    f"{processes.rss_mb(receiver.pid):.0f}",
                )

    return ("receiver", "idle associations", "% of a core", "RSS MB"), lines()


def flat(arguments: argparse.Namespace, folder: Path, receivers: Sequence[Receiver]) -> tuple[Line, Iterable[Line]]:
    """Return the memory of each receiver after each tenth of the films; stored films are removed meanwhile."""
    names = [str(number * arguments.flat // _SAMPLES) for number in range(1, _SAMPLES + 1)]
    senders = (arguments.senders or [16])[0]

    def lines() -> Iterator[Line]:
        runs = Runs()
        with sender() as sending:
            for kind in arguments.kinds or ["10 kB DX"]:
                path = films.write(folder, kind)
                for receiver in receivers:
                    processes.forget_peaks(receiver.pid)
                    tenths = _tenths(receiver, path, arguments.flat // _SAMPLES, senders, sending, runs)
                    memory = [f"{megabytes:.0f}" for megabytes in tenths]
                    yield (kind, str(senders), receiver.name, *memory, f"{processes.peak_rss_mb(receiver.pid):.0f}")

    return ("film", "senders", "receiver", *(f"RSS MB after {name}" for name in names), "peak"), lines()


def _tenths(receiver: Receiver, path: Path, count: int, senders: int, sending: Sending, runs: Runs) -> Iterator[float]:
    """Yield the memory after each `count` films; no film may be lost, and at most `_MAX_STORED_BYTES` are stored."""
    most = max(senders, int(_MAX_STORED_BYTES / path.stat().st_size))
    for _ in range(_SAMPLES):
        left = count
        while left > 0:
            before = receiver.count_stored()
            order = Order(port=receiver.port, path=str(path), run=runs.number(), senders=senders, films=min(left, most))
            stored = len(sending.send(order).stored)
            if not 0 < stored == receiver.count_stored() - before:
                raise Unfit(
                    f"{receiver.name} answered Success to {stored} films and holds {receiver.count_stored() - before}"
                )
            receiver.clear()
            left -= stored
        yield processes.rss_mb(receiver.pid)


def shipped(arguments: argparse.Namespace, folder: Path, receivers: Sequence[Receiver]) -> tuple[Line, Iterable[Line]]:
    """Return the films/s of DCMTK's storescu with default settings on one association."""

    def lines() -> Iterator[Line]:
        for kind in arguments.kinds or ["10 kB DX", "2 MB DX", "15 MB DX"]:
            path = films.write(folder, kind)
            counts = {receiver.name: _count(receiver, path, arguments) for receiver in receivers}
            speeds: dict[str, list[float]] = {receiver.name: [] for receiver in receivers}
            for _ in range(arguments.rounds):
                for receiver in receivers:
                    speeds[receiver.name].append(_speed(receiver, path, counts[receiver.name]))
            ours = speeds[receivers[0].name]
            for name, films_per_s in speeds.items():
                ratio = Spread.of(our / other for our, other in zip(ours, films_per_s, strict=True))
                yield kind, name, str(Spread.of(films_per_s)), "" if films_per_s is ours else str(ratio)

    return ("film", "receiver", "films/s", "node / it"), lines()


def _count(receiver: Receiver, path: Path, arguments: argparse.Namespace) -> int:
    """Return the number of films that take about `--storescu-seconds`, within `--megabytes`."""
    # Includes storescu's start-up time: the difference without it may be zero by chance.
    speed = _TRIAL / _storescu_s(receiver, path, _TRIAL)
    most = arguments.megabytes * 1e6 / path.stat().st_size
    return max(_TRIAL, int(min(arguments.storescu_seconds * speed, most)))


def _speed(receiver: Receiver, path: Path, count: int) -> float:
    """Return films/s of `count` films after the first, whose time includes storescu's start-up."""
    receiver.clear()
    os.sync()
    before = receiver.count_stored()
    one = _storescu_s(receiver, path, 1)
    whole = _storescu_s(receiver, path, count + 1)
    if receiver.count_stored() - before != count + 2:
        raise Unfit(f"{receiver.name} holds {receiver.count_stored() - before} of {count + 2} films")
    receiver.clear()
    return count / max(whole - one, whole / _START_SHARE)


def _storescu_s(receiver: Receiver, path: Path, count: int) -> float:
    """Return the seconds in which storescu sends `count` copies of a film, each with its own UIDs and patient."""
    own = ["--repeat", str(count), "+IR", "1", "+IS", "1", "+IP", "1"]
    command: list[str | Path] = [peers.program("storescu"), "-R", *own, peers.LOOPBACK, str(receiver.port), str(path)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
