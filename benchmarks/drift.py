"""How often drift is said of films that have not changed, and after how many films a change is found.

`python -m benchmarks.drift` prints the table of docs/monitoring.md: streams of scores drawn by chance, with every rule
as it is by default. No database: what is judged is days counted, as the node keeps them.
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cxr_node.domain.daily_stats import DailyStatistic, DriftResult, Statistic, score_bin, seconds_bin
from cxr_node.monitoring.drift import Rules, spans_of, verdicts

FIRST = date(2026, 1, 1)
FINDINGS = ("lung_opacity", "pleural_effusion")
_POINT = 0.5


def seeded(seed: int) -> random.Random:
    """Return chance that repeats itself."""
    return random.Random(seed)  # noqa: S311  # a study, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes otherwise on one device from a day on."""

    device: str
    day: int
    score: float = 0.0
    rejected: float = 0.0
    slower: float = 1.0


def stream(
    chance: random.Random, devices: Sequence[str], films: int, days: int, change: Change
) -> list[DailyStatistic]:
    """Return the days of devices with about so many films a day; a quarter of the films show a finding."""
    return [
        each
        for number in range(days)
        for device in devices
        for each in _day(chance, number, device, films, change if _is_in(change, number, device) else None)
    ]


def _is_in(change: Change, number: int, device: str) -> bool:
    return device == change.device and number >= change.day


def _day(
    chance: random.Random, number: int, device: str, films: int, change: Change | None
) -> Iterator[DailyStatistic]:
    day = FIRST + timedelta(days=number)
    many = max(1, round(chance.gauss(films, films**0.5)))
    rejected = sum(chance.random() < 0.04 + (change.rejected if change else 0.0) for _ in range(many))
    yield DailyStatistic(
        day=day, device=device, kind=Statistic.REJECTED, key="", films=many, hits=rejected, total=float(rejected)
    )
    read = max(1, many - rejected)
    for key in FINDINGS:
        scores = [min(1.0, _score(chance) + (change.score if change else 0.0)) for _ in range(read)]
        yield DailyStatistic(
            day=day,
            device=device,
            kind=Statistic.SCORE,
            key=key,
            films=read,
            hits=sum(each >= _POINT for each in scores),
            total=sum(scores),
            histogram=Counter(map(score_bin, scores)),
        )
    seconds = [chance.lognormvariate(2.0, 0.4) * (change.slower if change else 1.0) for _ in range(read)]
    counts = Counter(map(seconds_bin, seconds))
    yield DailyStatistic(
        day=day,
        device=device,
        kind=Statistic.TURNAROUND,
        key="",
        films=read,
        hits=0,
        total=sum(seconds),
        histogram=counts,
    )


def _score(chance: random.Random) -> float:
    """Return a score: low for most films, spread widely for a quarter of them."""
    return chance.betavariate(4, 2) if chance.random() < 0.25 else chance.betavariate(1.5, 6)


def judged(days: Sequence[DailyStatistic], day: date, rules: Rules) -> list[DriftResult]:
    """Return what a day comes to."""
    films: dict[str, list[tuple[date, int]]] = {}
    for each in days:
        if each.kind is Statistic.REJECTED and each.day <= day:
            films.setdefault(each.device, []).append((each.day, each.films))
    spans = spans_of(films, rules, day=day)
    within = [each for each in days if each.device in spans and any(each.day in span for span in spans[each.device])]
    return verdicts(within, spans, rules, day=day)


def false_alarms(seeds: range, *, films: int, days: int, rules: Rules, devices: int = 4) -> tuple[int, int, int]:
    """Return days judged, days with an alarm, and streams with one, of films that do not change."""
    several = [f"DX{number}" for number in range(devices)]
    total = alarms = streams = 0
    for seed in seeds:
        made = stream(seeded(seed), several, films, days, Change(device="", day=days))
        found = [judged(made, FIRST + timedelta(days=number), rules) for number in range(days)]
        tested = [each for each in found if each]
        alarmed = sum(any(verdict.is_drift for verdict in each) for each in tested)
        total, alarms, streams = total + len(tested), alarms + alarmed, streams + bool(alarmed)
    return total, alarms, streams


def found_after(seed: int, *, films: int, change: Change, rules: Rules, longest: int = 60) -> int | None:
    """Return after how many films of the device since the change it is found; None if not within `longest` days."""
    several = [f"DX{number}" for number in range(4)]
    days = change.day + longest
    made = stream(seeded(seed), several, films, days, change)
    for number in range(change.day, days):
        said = judged(made, FIRST + timedelta(days=number), rules)
        if any(each.is_drift and each.device == change.device for each in said):
            since = [each for each in made if each.kind is Statistic.REJECTED and each.device == change.device]
            return sum(each.films for each in since[change.day : number + 1])
    return None


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    seeds, rules = range(parser.parse_args().seeds), Rules()
    print(f"alpha {rules.alpha:g}, 4 devices, 24 tests a day\n")
    print("| films a day and device | days judged | days with an alarm | share |")
    print("|---|---|---|---|")
    for films in (20, 60, 200):
        total, alarms, _ = false_alarms(seeds, films=films, days=rules.reference_films // films + 120, rules=rules)
        print(f"| {films} | {total} | {alarms} | {100 * alarms / total:.2f} % |")
    print("\n| change, on one of four devices | films a day | found in | films until then: median (most) | days |")
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
            took = [found_after(seed, films=films, change=planted, rules=rules) for seed in seeds]
            found = sorted(each for each in took if each is not None)
            said = f"{found[len(found) // 2]} ({found[-1]})" if found else "none"
            days = f"{found[len(found) // 2] / films:.0f}" if found else ""
            print(f"| {words} | {films} | {len(found)} of {len(seeds)} | {said} | {days} |")


if __name__ == "__main__":
    _main()
