"""Whether a device's films are read as they were in the reference: each day, each figure, with the tests stated here.

A figure is what is counted of a day's films of one device, read by one model. Scores and durations are compared by
the two-sample test of Kolmogorov and Smirnov, rates by Fisher's exact test; all tests of a day are adjusted by Holm,
and a difference is drift only if it is also large enough to matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial

from cxr_node.domain.daily_stats import DailyStatistic, DateRange, DriftResult, Statistic, seconds_of
from cxr_node.monitoring.histogram import middle, together
from cxr_node.monitoring.statistics import fisher, holm, kolmogorov_smirnov


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a difference is drift.

    Parameters
    ----------
    reference_films, reference_days
        The reference is the first whole days that hold as many films and are as many days.
    reference_from, reference_until
        The reference is these days instead, both included, for devices that have enough films in them.
    window_days, longest_window_days
        What is held against it are the newest days, more of them where they hold too few films.
    minimum_films
        With fewer on either side nothing is compared.
    alpha
        The chance that a day of no change raises any alarm at all.
    least_effects
        The least difference that is drift, whatever its p-value.
    """

    reference_films: int = 1000
    reference_days: int = 7
    reference_from: date | None = None
    reference_until: date | None = None
    window_days: int = 7
    longest_window_days: int = 28
    minimum_films: int = 50
    alpha: float = 0.01
    least_effects: dict[Statistic, float] = field(
        default_factory=lambda: {
            Statistic.SCORE: 0.1,
            Statistic.POSITIVE: 0.05,
            Statistic.REJECTED: 0.05,
            Statistic.TURNAROUND: 0.3,
        }
    )


def reference_of(films: Sequence[tuple[date, int]], rules: Rules) -> DateRange | None:
    """Return the days of a device's reference, from its films by day in order; None while there are too few."""
    if rules.reference_from is not None and rules.reference_until is not None:
        declared = DateRange(first=rules.reference_from, last=rules.reference_until)
        if sum(many for day, many in films if day in declared) >= rules.minimum_films:
            return declared
    total = 0
    for day, many in films:
        total += many
        if total >= rules.reference_films and (day - films[0][0]).days + 1 >= rules.reference_days:
            return DateRange(first=films[0][0], last=day)
    return None


def window_of(films: Sequence[tuple[date, int]], reference: DateRange, rules: Rules, *, day: date) -> DateRange | None:
    """Return the days up to `day` that are held against the reference; None while there are too few films after it."""
    for days in range(rules.window_days, rules.longest_window_days + 1):
        span = DateRange(first=max(day - timedelta(days=days - 1), reference.last + timedelta(days=1)), last=day)
        if sum(many for at, many in films if at in span) >= rules.minimum_films:
            return span
    return None


def spans_of(
    films: Mapping[str, Sequence[tuple[date, int]]], rules: Rules, *, day: date
) -> dict[str, tuple[DateRange, DateRange]]:
    """Return the reference and the window of each device that has enough films, from its films by day."""
    found = {}
    for device, days in films.items():
        reference = reference_of(days, rules)
        window = window_of(days, reference, rules, day=day) if reference is not None and day > reference.last else None
        if reference is not None and window is not None:
            found[device] = reference, window
    return found


def verdicts(
    days: Iterable[DailyStatistic], spans: dict[str, tuple[DateRange, DateRange]], rules: Rules, *, day: date
) -> list[DriftResult]:
    """Return every comparison of a day; `spans` has each device's reference and window."""
    before: dict[tuple[str, Statistic, str], list[DailyStatistic]] = {}
    now: dict[tuple[str, Statistic, str], list[DailyStatistic]] = {}
    for each in days:
        reference, window = spans[each.device]
        for span, sides in ((reference, before), (window, now)):
            if each.day in span:
                for kind in (each.kind, Statistic.POSITIVE) if each.kind is Statistic.SCORE else (each.kind,):
                    sides.setdefault((each.device, kind, each.key), []).append(each)
    found = [
        made
        for (device, kind, key), members in sorted(now.items())
        if (made := _compared(day, device, kind, key, before.get((device, kind, key), []), members, spans, rules))
    ]
    adjusted = holm([each.p_value for each in found])
    return [_judged(each, p, rules) for each, p in zip(found, adjusted, strict=True)]


def _compared(
    day: date,
    device: str,
    kind: Statistic,
    key: str,
    before: Sequence[DailyStatistic],
    now: Sequence[DailyStatistic],
    spans: dict[str, tuple[DateRange, DateRange]],
    rules: Rules,
) -> DriftResult | None:
    films_before, films = sum(each.films for each in before), sum(each.films for each in now)
    if min(films_before, films) < rules.minimum_films:
        return None
    reference, window = spans[device]
    made = partial(
        DriftResult,
        day=day,
        device=device,
        kind=kind,
        key=key,
        reference=reference,
        window=window,
        reference_films=films_before,
        films=films,
        reference_value=_value(kind, before),
        value=_value(kind, now),
    )
    if kind in (Statistic.POSITIVE, Statistic.REJECTED):
        hits_before, hits = sum(each.hits for each in before), sum(each.hits for each in now)
        effect = abs(hits / films - hits_before / films_before)
        return made(effect=effect, p_value=fisher(hits, films, hits_before, films_before))
    effect, p_value = kolmogorov_smirnov(
        together(each.histogram for each in before), together(each.histogram for each in now)
    )
    return made(effect=effect, p_value=p_value)


def _value(kind: Statistic, days: Sequence[DailyStatistic]) -> float:
    films = sum(each.films for each in days)
    match kind:
        case Statistic.SCORE:
            return sum(each.total for each in days) / films
        case Statistic.POSITIVE | Statistic.REJECTED:
            return sum(each.hits for each in days) / films
        case Statistic.TURNAROUND:
            return seconds_of(middle(together(each.histogram for each in days)) or 0)


def _judged(each: DriftResult, adjusted_p: float, rules: Rules) -> DriftResult:
    is_drift = adjusted_p < rules.alpha and each.effect >= rules.least_effects[each.kind]
    return replace(each, adjusted_p=adjusted_p, is_drift=is_drift)
