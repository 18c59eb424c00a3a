"""Interleaved rounds of all receivers, and the figures of all rounds."""

import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import processes
from benchmarks.load.receivers import Receiver, Unfit
from benchmarks.load.sender import Answer, Order
from benchmarks.load.sender_process import Sending


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Films and associations of one comparison."""

    kind: str
    senders: int
    per_association: int = 0
    nagle: bool = False

    def __str__(self) -> str:
        number = {0: "many", 1: "one"}.get(self.per_association, str(self.per_association))
        return f"{self.kind}, {self.senders} sender(s), {number} on an association{', Nagle' if self.nagle else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One receiver's turn."""

    films: int
    seconds: float
    answers_s: tuple[float, ...]
    """From the first byte of a film to its response."""
    cpu_s: float
    sender_cpu_s: float
    peak_rss_mb: float
    refused: int
    failed: int

    @property
    def films_per_second(self) -> float:
        """Films answered with Success in a second."""
        return self.films / self.seconds if self.films else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Largest time and size of one turn."""

    seconds: float
    megabytes: float


class Runs:
    """Numbers of runs, unique so that each sent film has its own UIDs."""

    def __init__(self) -> None:
        self._next = int.from_bytes(os.urandom(7))

    def number(self) -> int:
        """Return the next number."""
        self._next += 1
        return self._next


def turn(receiver: Receiver, cell: Cell, path: Path, *, sending: Sending, bounds: Bounds, run: int) -> Round:
    """Run one receiver's turn, and compare its stored films with its responses.

    Raises
    ------
    Unfit
        If the number of stored films differs from the number of Success responses.
    """
    receiver.clear()
    os.sync()
    before, stored_before = processes.cpu_s(receiver.pid), receiver.count_stored()
    processes.forget_peaks(receiver.pid)
    most = max(cell.senders, int(bounds.megabytes * 1e6 / path.stat().st_size))
    answer = sending.send(
        Order(
            port=receiver.port,
            path=str(path),
            run=run,
            senders=cell.senders,
            seconds=bounds.seconds,
            films=most,
            per_association=cell.per_association,
            nagle=cell.nagle,
            web_token=receiver.web_token,
        )
    )
    cpu_s, peak_mb = processes.cpu_s(receiver.pid) - before, processes.peak_rss_mb(receiver.pid)
    held = receiver.count_stored() - stored_before
    if held != len(answer.stored):
        raise Unfit(f"{receiver.name} answered Success to {len(answer.stored)} films and holds {held} ({cell})")
    receiver.clear()
    return _round(answer, cpu_s=cpu_s, peak_rss_mb=peak_mb)


def _round(answer: Answer, *, cpu_s: float, peak_rss_mb: float) -> Round:
    stored = answer.stored
    return Round(
        films=len(stored),
        seconds=answer.seconds,
        answers_s=tuple(answered - began for _, began, _, answered, _ in stored),
        cpu_s=cpu_s,
        sender_cpu_s=answer.cpu_s,
        peak_rss_mb=peak_rss_mb,
        refused=answer.refused,
        failed=len(answer.films) - len(stored),
    )


def compared(
    receivers: Sequence[Receiver],
    cell: Cell,
    path: Path,
    *,
    sending: Sending,
    bounds: Bounds,
    rounds: int,
    runs: Runs,
) -> dict[str, list[Round]]:
    """Return each receiver's rounds after a warm-up film; the first receiver changes with the round."""
    results: dict[str, list[Round]] = {receiver.name: [] for receiver in receivers}
    for receiver in receivers:
        one = Bounds(seconds=bounds.seconds, megabytes=0.0)
        turn(receiver, Cell(kind=cell.kind, senders=1), path, sending=sending, bounds=one, run=runs.number())
    for number in range(rounds):
        first = number % len(receivers)
        for receiver in (*receivers[first:], *receivers[:first]):
            result = turn(receiver, cell, path, sending=sending, bounds=bounds, run=runs.number())
            results[receiver.name].append(result)
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several rounds, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Return the spread of values."""
        all_values = list(values)
        return cls(median=statistics.median(all_values), least=min(all_values), most=max(all_values))

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.least)}-{_short(self.most)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratios(ours: Sequence[Round], others: Sequence[Round]) -> Spread | None:
    """Return the ratio of our films/s to the other's, by round; None if a round of either has no film."""
    pairs = list(zip(ours, others, strict=True))
    if not all(result.films for pair in pairs for result in pair):
        return None
    return Spread.of(our.films_per_second / other.films_per_second for our, other in pairs)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed, the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-round(share * 1000) * len(ordered) // 1000) - 1))]


HEADINGS = (
    "film",
    "senders",
    "on an association",
    "receiver",
    "films/s",
    "node / it",
    "answer p50 ms",
    "answer p99 ms",
    "CPU ms/film",
    "peak RSS MB",
    "sender's CPU %",
    "refused, failed",
)


def rows(cell: Cell, rounds: Mapping[str, Sequence[Round]], *, ours: str) -> Iterator[tuple[str, ...]]:
    """Yield a line of the table for each receiver."""
    for name, turns in rounds.items():
        films = sum(result.films for result in turns)
        answers = [answer for result in turns for answer in result.answers_s]
        ratio = None if name == ours else ratios(rounds[ours], turns)
        yield (
            cell.kind + (", Nagle" if cell.nagle else ""),
            str(cell.senders),
            {0: "many", 1: "one"}.get(cell.per_association, str(cell.per_association)),
            name,
            str(Spread.of(result.films_per_second for result in turns)),
            "" if ratio is None else str(ratio),
            f"{percentile(answers, 0.5) * 1000:.1f}" if answers else "",
            f"{percentile(answers, 0.99) * 1000:.1f}" if answers else "",
            f"{sum(result.cpu_s for result in turns) / films * 1000:.2f}" if films else "",
            f"{max(result.peak_rss_mb for result in turns):.0f}",
            _share(turns),
            f"{sum(result.refused for result in turns)}, {sum(result.failed for result in turns)}",
        )


def _share(turns: Sequence[Round]) -> str:
    seconds = sum(result.seconds for result in turns)
    return f"{100 * sum(result.sender_cpu_s for result in turns) / seconds:.0f}" if seconds > 0 else ""
