"""Drift detection on simulated streams: rate of false alarms, and films until a change is detected.

`python -m benchmarks.drift` prints the tables of docs/explanation/monitoring.md, with default rules and pseudo-random
scores.
It evaluates daily statistics as the node stores them, without a database.
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cxr_node.domain.daily_stats import DailyStatistic, DriftResult, Statistic, score_bin, seconds_bin
from cxr_node.monitoring.drift import DriftRules, comparison_windows, evaluate_day

FIRST = date(2026, 1, 1)
FINDINGS = ("lung_opacity", "pleural_effusion")
_OPERATING_POINT = 0.5


def seeded(seed: int) -> random.Random:
    """Return a seeded generator."""
    return random.Random(seed)  # noqa: S311  # a study, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change on one device from a day on."""

    device: str
    day: int
    score: float = 0.0
    rejected: float = 0.0
    slower: float = 1.0


def stream(
    chance: random.Random, devices: Sequence[str], films: int, days: int, change: Change
) -> list[DailyStatistic]:
    """Return daily statistics of devices with about `films` a day; a quarter of the films show a finding."""
    return [
        statistic
        for number in range(days)
        for device in devices
        for statistic in _day(chance, number, device, films, change if _is_in(change, number, device) else None)
    ]


def _is_in(change: Change, number: int, device: str) -> bool:
    return device == change.device and number >= change.day


def _day(
    chance: random.Random, number: int, device: str, films: int, change: Change | None
) -> Iterator[DailyStatistic]:
    day = FIRST + timedelta(days=number)
    count = max(1, round(chance.gauss(films, films**0.5)))
    rejected = sum(chance.random() < 0.04 + (change.rejected if change else 0.0) for _ in range(count))
    yield DailyStatistic(
        day=day, device=device, kind=Statistic.REJECTED, key="", films=count, hits=rejected, total=float(rejected)
    )
    read = max(1, count - rejected)
    for key in FINDINGS:
        scores = [min(1.0, _score(chance) + (change.score if change else 0.0)) for _ in range(read)]
        yield DailyStatistic(
            day=day,
            device=device,
            kind=Statistic.SCORE,
            key=key,
            films=read,
            hits=sum(score >= _OPERATING_POINT for score in scores),
            total=sum(scores),
            histogram=Counter(map(score_bin, scores)),
        )
    seconds = [chance.lognormvariate(2.0, 0.4) * (change.slower if change else 1.0) for _ in range(read)]
    histogram = Counter(map(seconds_bin, seconds))
    yield DailyStatistic(
        day=day,
        device=device,
        kind=Statistic.TURNAROUND,
        key="",
        films=read,
        hits=0,
        total=sum(seconds),
        histogram=histogram,
    )


def _score(chance: random.Random) -> float:
    """Return a score: low for most films, spread widely for a quarter of them."""
    return chance.betavariate(4, 2) if chance.random() < 0.25 else chance.betavariate(1.5, 6)


def evaluated(statistics: Sequence[DailyStatistic], day: date, rules: DriftRules) -> list[DriftResult]:
    """Return the tests of a day."""
    films: dict[str, list[tuple[date, int]]] = {}
    for one in statistics:
        if one.kind is Statistic.REJECTED and one.day <= day:
            films.setdefault(one.device, []).append((one.day, one.films))
    windows = comparison_windows(films, rules, day=day)
    within = [one for one in statistics if any(one.day in window for window in windows.get(one.device, ()))]
    return evaluate_day(within, windows, rules, day=day)


def false_alarms(seeds: range, *, films: int, days: int, rules: DriftRules, devices: int = 4) -> tuple[int, int, int]:
    """Return days evaluated, days with an alarm, and streams with one, of films that do not change."""
    names = [f"DX{number}" for number in range(devices)]
    total = alarms = streams = 0
    for seed in seeds:
        statistics = stream(seeded(seed), names, films, days, Change(device="", day=days))
        results = [evaluated(statistics, FIRST + timedelta(days=number), rules) for number in range(days)]
        tested = [tests for tests in results if tests]
        alarmed = sum(any(test.is_drift for test in tests) for tests in tested)
        total, alarms, streams = total + len(tested), alarms + alarmed, streams + bool(alarmed)
    return total, alarms, streams


def films_until_detected(seed: int, *, films: int, change: Change, rules: DriftRules, longest: int = 60) -> int | None:
    """Return the device's films from the change to its detection; None if not within `longest` days."""
    names = [f"DX{number}" for number in range(4)]
    days = change.day + longest
    statistics = stream(seeded(seed), names, films, days, change)
    counts = [one.films for one in statistics if one.kind is Statistic.REJECTED and one.device == change.device]
    for number in range(change.day, days):
        results = evaluated(statistics, FIRST + timedelta(days=number), rules)
        if any(result.is_drift and result.device == change.device for result in results):
            return sum(counts[change.day : number + 1])
    return None


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    seeds, rules = range(parser.parse_args().seeds), DriftRules()
    print(f"alpha {rules.alpha:g}, 4 devices, 24 tests a day\n")
    print("| films a day and device | days evaluated | days with an alarm | share |")
    print("|---|---|---|---|")
    for films in (20, 60, 200):
        total, alarms, _ = false_alarms(seeds, films=films, days=rules.reference_films // films + 120, rules=rules)
        print(f"| {films} | {total} | {alarms} | {100 * alarms / total:.2f} % |")
    print("\n| change, on one of four devices | films a day | detected in | films until then: median (most) | days |")
    print("|---|---|---|---|---|")
    for words, change in (
        ("scores + 0.10", {"score": 0.1}),
        ("scores + 0.05", {"score": 0.05}),
        ("not analysed 4 % to 14 %", {"rejected": 0.1}),
        ("turn-around doubled", {"slower": 2.0}),
    ):
        for films in (20, 60, 200):
            start = max(rules.reference_films // films + 1, rules.reference_days) + rules.window_days
            planted = Change(device="DX2", day=start, **change)
            delays = [films_until_detected(seed, films=films, change=planted, rules=rules) for seed in seeds]
            detected = sorted(delay for delay in delays if delay is not None)
            median = f"{detected[len(detected) // 2]} ({detected[-1]})" if detected else "none"
            days = f"{detected[len(detected) // 2] / films:.0f}" if detected else ""
            print(f"| {words} | {films} | {len(detected)} of {len(seeds)} | {median} | {days} |")


if __name__ == "__main__":
    _main()
