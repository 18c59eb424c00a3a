"""Drift detection: each statistic of a device's films against its reference window, every day.

A statistic is computed over one day's films of one device, read by one model. Scores and durations are compared by the
two-sample Kolmogorov-Smirnov test, rates by Fisher's exact test. The p-values of a day get a Holm correction, and a
difference is drift only if its effect size is large enough too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from cxr_node.domain.daily_stats import DailyStatistic, DateRange, DriftResult, Statistic, seconds_of
from cxr_node.monitoring.statistics import fisher_exact, holm_correction, ks_two_sample, median_bin, sum_histograms

_Series = tuple[str, Statistic, str]
"""Device, statistic, and key of the finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRules:
    """Windows and limits of drift detection.

    Parameters
    ----------
    reference_films, reference_days
        The reference window is the first whole days with this many films, and at least this many days.
    reference_from, reference_until
        The reference window as declared instead, both days included, for devices with enough films in it.
    window_days, longest_window_days
        The current window is the newest days; it grows up to the longest while it holds too few films.
    minimum_films
        With fewer films in either window there is no test.
    alpha
        Family-wise error rate of a day: the probability of any alarm without a change.
    least_effects
        Effect size from which a significant difference is drift.
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


def reference_window(films: Sequence[tuple[date, int]], rules: DriftRules) -> DateRange | None:
    """Return a device's reference window from its film counts by day, in order; None while there are too few."""
    if rules.reference_from is not None and rules.reference_until is not None:
        declared = DateRange(first=rules.reference_from, last=rules.reference_until)
        if sum(count for day, count in films if day in declared) >= rules.minimum_films:
            return declared
    total = 0
    for day, count in films:
        total += count
        if total >= rules.reference_films and (day - films[0][0]).days + 1 >= rules.reference_days:
            return DateRange(first=films[0][0], last=day)
    return None


def current_window(
    films: Sequence[tuple[date, int]], reference: DateRange, rules: DriftRules, *, day: date
) -> DateRange | None:
    """Return the current window, which ends on `day`, after the reference; None while it has too few films."""
    for days in range(rules.window_days, rules.longest_window_days + 1):
        window = DateRange(first=max(day - timedelta(days=days - 1), reference.last + timedelta(days=1)), last=day)
        if sum(count for at, count in films if at in window) >= rules.minimum_films:
            return window
    return None


def comparison_windows(
    films: Mapping[str, Sequence[tuple[date, int]]], rules: DriftRules, *, day: date
) -> dict[str, tuple[DateRange, DateRange]]:
    """Return reference and current window of each device with enough films, from its film counts by day."""
    windows = {}
    for device, counts in films.items():
        reference = reference_window(counts, rules)
        if reference is not None and day > reference.last:
            window = current_window(counts, reference, rules, day=day)
            if window is not None:
                windows[device] = reference, window
    return windows


def evaluate_day(
    statistics: Iterable[DailyStatistic],
    windows: Mapping[str, tuple[DateRange, DateRange]],
    rules: DriftRules,
    *,
    day: date,
) -> list[DriftResult]:
    """Return every test of a day; `windows` has each device's reference and current window."""
    reference: dict[_Series, list[DailyStatistic]] = {}
    current: dict[_Series, list[DailyStatistic]] = {}
    for statistic in statistics:
        for window, series in zip(windows[statistic.device], (reference, current), strict=True):
            if statistic.day in window:
                for kind in _kinds(statistic):
                    series.setdefault((statistic.device, kind, statistic.key), []).append(statistic)
    results = [
        _test(name, reference[name], days, windows[name[0]], day)
        for name, days in sorted(current.items())
        if min(_films(reference.get(name, ())), _films(days)) >= rules.minimum_films
    ]
    adjusted = holm_correction([result.p_value for result in results])
    return [_decide(result, p_value, rules) for result, p_value in zip(results, adjusted, strict=True)]


def _kinds(statistic: DailyStatistic) -> tuple[Statistic, ...]:
    """Return the statistics in a row: that of scores has the rate of positive films too."""
    return (statistic.kind, Statistic.POSITIVE) if statistic.kind is Statistic.SCORE else (statistic.kind,)


def _films(days: Sequence[DailyStatistic]) -> int:
    return sum(statistic.films for statistic in days)


def _test(
    series: _Series,
    reference: Sequence[DailyStatistic],
    current: Sequence[DailyStatistic],
    windows: tuple[DateRange, DateRange],
    day: date,
) -> DriftResult:
    device, kind, key = series
    films, films_before = _films(current), _films(reference)
    if kind in (Statistic.POSITIVE, Statistic.REJECTED):
        hits, hits_before = (sum(statistic.hits for statistic in days) for days in (current, reference))
        effect = abs(hits / films - hits_before / films_before)
        p_value = fisher_exact(hits, films, hits_before, films_before)
    else:
        histograms = (sum_histograms(statistic.histogram for statistic in days) for days in (reference, current))
        effect, p_value = ks_two_sample(*histograms)
    return DriftResult(
        day=day,
        device=device,
        kind=kind,
        key=key,
        reference=windows[0],
        window=windows[1],
        reference_films=films_before,
        films=films,
        reference_value=_value(kind, reference),
        value=_value(kind, current),
        effect=effect,
        p_value=p_value,
    )


def _value(kind: Statistic, days: Sequence[DailyStatistic]) -> float:
    """Return the mean score, the rate, or the median in seconds."""
    films = _films(days)
    match kind:
        case Statistic.SCORE:
            return sum(statistic.total for statistic in days) / films
        case Statistic.POSITIVE | Statistic.REJECTED:
            return sum(statistic.hits for statistic in days) / films
        case Statistic.TURNAROUND:
            return seconds_of(median_bin(sum_histograms(statistic.histogram for statistic in days)) or 0)


def _decide(result: DriftResult, adjusted_p: float, rules: DriftRules) -> DriftResult:
    is_drift = adjusted_p < rules.alpha and result.effect >= rules.least_effects[result.kind]
    return replace(result, adjusted_p=adjusted_p, is_drift=is_drift)
