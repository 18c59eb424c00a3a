"""Repeatability of measurements and scores: the same phantom twice, and repeated films of the same patients.

    python -m benchmarks.repeatability --pairs 60 --tried 40 [--views PA AP] [--upper-end] [--processes 2]
                                       [--plot FILE.png] [--limits FILE.toml]
    python -m benchmarks.repeatability --films FOLDER/nih_fair FOLDER/nih_cadlab --labels LABELS.csv

A phantom's two films differ in exposure, geometry, centering, rotation, noise and processing, sampled as for any two
phantoms, and in inspiration, sampled as for any two patients. The built-in bundle reads both. For each view and value:
bias and limits of agreement (Bland and Altman: bias and 1.96 standard deviations of the differences), each with its
95 % interval, and the limit that the node uses: 1.96 standard deviations, or with --upper-end the upper end of their
interval, for a view whose repeated films are called more often than one in twenty with the former.

Limits are of --pairs phantoms; on --tried further ones the change of the cardiothoracic ratio is called: on a repeated
film (false), and on one with a wider heart, by 0.03 of the true ratio.

Real films are all pairs of consecutive films of one patient and view. Their patients may have changed in between, so
their limits are no repeatability: they say what the node would call.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure_films import radiograph as film_of
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Topic
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.measure.comparison import SCORE
from cxr_node.measure.film import measure_film
from cxr_node.measure.repeatability import measured_limits
from cxr_node.phantom.film import film
from cxr_node.phantom.thorax import Pose
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.phantom_outlines import radiograph

Float64 = npt.NDArray[np.float64]
Values = Mapping[str, float]

FIRST = 6_000_000
"""First seed: nothing was taught or set on a film from here on."""
PLANTED = 0.03
_NORMAL_95 = 1.96
_BREATH: Mapping[View, tuple[float, float]] = {View.PA: (0.80, 0.18), View.AP: (0.45, 0.18)}
"""Mean and standard deviation of the inspiration of erect and of lying patients, as phantoms have them."""
_RATIO = "CTR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Values of a phantom's two films, and of a third with a wider heart, whose true ratio is `planted` larger."""

    view: View
    first: Values
    second: Values
    wider: Values | None = None
    planted: float = float("nan")


@cache
def _reader() -> Reader:
    import torch

    torch.set_num_threads(1)
    return Reader(bundle.load(bundle_registry.find("chest")), device="cpu")


def values_of(picture: Radiograph) -> dict[str, float]:
    """Return proportions and scores (0 to 100) of a film by the built-in bundle."""
    (prediction,) = _reader().read([picture])
    return _values(picture, prediction)


def _values(picture: Radiograph, prediction: Prediction) -> dict[str, float]:
    measured = measure_film(picture, prediction.structures).measurements
    values = {one.key: one.value for one in measured if one.topic is Topic.PROPORTIONS}
    return values | {f"{SCORE}{one.key}": 100 * one.score for one in prediction.findings}


def repeat(task: tuple[int, View], *, with_wider: bool) -> Repeated:
    """Return the values of the films of a seed."""
    seed, view = task
    generator = np.random.default_rng([seed, list(View).index(view), 7])
    first, second = (_exposed(seed, view, generator, number) for number in (1, 2))
    if not with_wider:
        return Repeated(view=view, first=values_of(radiograph(first)), second=values_of(radiograph(second)))
    ratio = first.truth.cardiothoracic_ratio or float("nan")
    breath, scale = _breath(view, generator), (ratio + PLANTED) / ratio
    before, wider = (_film(seed, view, breath, 3, heart_scale=factor) for factor in (1.0, scale))
    return Repeated(
        view=view,
        first=values_of(radiograph(first)),
        second=values_of(radiograph(second)),
        wider=values_of(radiograph(wider)),
        planted=(wider.truth.cardiothoracic_ratio or 0) - (before.truth.cardiothoracic_ratio or 0),
    )


def _exposed(seed: int, view: View, generator: np.random.Generator, exposure: int) -> PhantomFilm:
    return _film(seed, view, _breath(view, generator), exposure)


def _breath(view: View, generator: np.random.Generator) -> float:
    return float(np.clip(generator.normal(*_BREATH[view]), 0.1, 1.0))


def _film(seed: int, view: View, breath: float, exposure: int, *, heart_scale: float = 1.0) -> PhantomFilm:
    pose = Pose(breath=breath, exposure=exposure, heart_scale=heart_scale)
    return film(seed=seed, view=view, erect=view is View.PA, pose=pose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Bias and limits of agreement of `n` differences, each with its 95 % interval; `limit` is what the node uses."""

    n: int
    bias: tuple[float, float, float]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    limit: float


def agreement(differences: Float64, *, is_upper_end: bool = False) -> Agreement:
    """Return bias and limits of agreement; intervals by Bland and Altman's standard errors.

    The limit in use is 1.96 standard deviations, or the upper end of their interval.
    """
    n, bias, deviation = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    of_bias = _NORMAL_95 * deviation / np.sqrt(n)
    of_limit = _NORMAL_95 * deviation * np.sqrt(1 / n + _NORMAL_95**2 / (2 * (n - 1)))
    low, high = bias - _NORMAL_95 * deviation, bias + _NORMAL_95 * deviation
    return Agreement(
        n=n,
        bias=(bias, bias - of_bias, bias + of_bias),
        lower=(low, low - of_limit, low + of_limit),
        upper=(high, high - of_limit, high + of_limit),
        limit=_NORMAL_95 * deviation + (of_limit if is_upper_end else 0.0),
    )


def agreements(
    pairs: Sequence[tuple[Values, Values]], *, least: int = 10, is_upper_end: bool = False
) -> dict[str, Agreement]:
    """Return the agreement of each value that at least `least` pairs have on both films."""
    differences = defaultdict(list)
    for first, second in pairs:
        for key in first.keys() & second.keys():
            differences[key].append(second[key] - first[key])
    return {
        key: agreement(np.array(values), is_upper_end=is_upper_end)
        for key, values in sorted(differences.items())
        if len(values) >= least
    }


def table(view: View, by_key: Mapping[str, Agreement]) -> Iterator[str]:
    """Yield the lines of a view's table."""
    yield f"| {view}: value | n | bias | limits of agreement | limit in use |"
    yield "|---|---|---|---|---|"
    for key, one in by_key.items():
        bias, lower, upper = (
            f"{mean:.3g} ({low:.3g} to {high:.3g})" for mean, low, high in (one.bias, one.lower, one.upper)
        )
        limit = "none" if key.startswith(SCORE) else rounded(one.limit)
        yield f"| {key} | {one.n} | {bias} | {lower}; {upper} | {limit} |"


def rounded(limit: float) -> str:
    """Return a limit with three digits, as table and file have it."""
    return f"{limit:.3g}"


def limits_file(digest: str, by_view: Mapping[View, Mapping[str, Agreement]]) -> Iterator[str]:
    """Yield the lines of cxr_node/measure/repeatability.toml, without scores: those of normal phantoms are low."""
    yield "# Written by `python -m benchmarks.repeatability`; docs/reference/measurements.md has the same limits."
    yield f'weights_digest = "{digest}"'
    for view, by_key in by_view.items():
        yield f"\n[{view}]"
        yield from (f'"{key}" = {rounded(one.limit)}' for key, one in by_key.items() if not key.startswith(SCORE))


def tried(results: Sequence[Repeated], limit: float) -> Iterator[str]:
    """Yield the shares of films on which a change of the ratio is called, without and with one."""
    for name, called in (
        (
            "repeated, called (false)",
            [abs(one.second[_RATIO] - one.first[_RATIO]) > limit for one in results if _has(one)],
        ),
        (
            f"planted {PLANTED}, called",
            [
                one.wider[_RATIO] - one.first[_RATIO] > limit
                for one in results
                if _has(one) and one.wider and _RATIO in one.wider
            ],
        ),
    ):
        yield f"{name}: {sum(called)} of {len(called)}, {100 * np.mean(called):.1f} %"
    planted = np.array([one.planted for one in results])
    yield f"planted change of the true ratio: {planted.mean():.4f} ({planted.min():.4f} to {planted.max():.4f})"


def _has(one: Repeated) -> bool:
    return _RATIO in one.first and _RATIO in one.second


def plot(path: Path, by_view: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw Bland-Altman plots of the ratio: difference over mean, with bias and limits, a panel for each group."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "cxr-node"
    figure = Figure(figsize=(4.2 * len(by_view), 3.6), layout="constrained")
    panels = figure.subplots(1, len(by_view), sharey=True, squeeze=False)[0]
    for axes, (name, pairs) in zip(panels, by_view.items(), strict=True):
        first, second = np.array(pairs).T
        limits = agreement(second - first)
        axes.scatter((first + second) / 2, second - first, s=12, color="#14507d")
        for value, style in ((limits.bias[0], "-"), (limits.lower[0], "--"), (limits.upper[0], "--")):
            axes.axhline(value, color="#a34a4a", linestyle=style, linewidth=1)
        axes.set_title(f"{name}, {limits.n} pairs")
        axes.set_xlabel("mean ratio of both films")
    panels[0].set_ylabel("second less first")
    figure.savefig(path, dpi=120)


def real_pairs(folders: Sequence[Path], labels: Path) -> dict[View, list[tuple[Values, Values]]]:
    """Return the values of consecutive films of one patient and view that the bundle takes for frontal chest films."""
    sets = {folder.name: folder for folder in folders}
    groups: dict[tuple[str, View], list[tuple[str, Mapping[str, str], Path]]] = defaultdict(list)
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["set"] in sets:
                path = sets[row["set"]] / row["file"]
                groups[row["patient"], View(row["view_position"])].append((row["file"], row, path))
    pairs: dict[View, list[tuple[Values, Values]]] = defaultdict(list)
    for (_, view), films in groups.items():
        if len(films) < 2:
            continue
        read = [_real_values(film_of(path, row)) for _, row, path in sorted(films, key=lambda one: one[0])]
        pairs[view] += [(a, b) for a, b in pairwise(read) if a is not None and b is not None]
    return pairs


def _real_values(picture: Radiograph) -> dict[str, float] | None:
    (prediction,) = _reader().read([picture])
    appearance = prediction.appearance
    return (
        None
        if appearance is not None and (appearance.view is None or appearance.distance > appearance.limit)
        else _values(picture, prediction)
    )


def _run(seeds: range, views: Sequence[View], processes: int, *, with_wider: bool) -> list[Repeated]:
    tasks = [(seed, view) for view in views for seed in seeds]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(repeat, with_wider=with_wider), tasks))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--tried", type=int, default=0)
    parser.add_argument("--views", type=View, nargs="+", default=[View.PA, View.AP])
    parser.add_argument("--upper-end", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--limits", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--films", type=Path, nargs="*", default=[])
    parser.add_argument("--labels", type=Path)
    arguments = parser.parse_args()
    if arguments.pairs:
        _phantoms(arguments)
    if arguments.films:
        for view, pairs in real_pairs(arguments.films, arguments.labels).items():
            print("\n".join(table(view, agreements(pairs, least=5))))
            limit = measured_limits().by_view[view][_RATIO]
            both = [(first[_RATIO], second[_RATIO]) for first, second in pairs if _RATIO in first and _RATIO in second]
            called = sum(abs(second - first) > limit for first, second in both)
            print(f"{view}: ratio beyond the limit in use, {limit}: {called} of {len(both)}")


def _phantoms(arguments: argparse.Namespace) -> None:
    views, last = arguments.views, FIRST + arguments.pairs
    repeated = _run(range(FIRST, last), views, arguments.processes, with_wider=False)
    further = _run(range(last, last + arguments.tried), views, arguments.processes, with_wider=True)
    by_view = {view: [one for one in repeated if one.view is view] for view in views}
    measured = {
        view: agreements([(one.first, one.second) for one in group], is_upper_end=arguments.upper_end)
        for view, group in by_view.items()
    }
    for view in views:
        print("\n".join(table(view, measured[view])))
        if further:
            of_view = [one for one in further if one.view is view]
            print(f"{view}: " + "; ".join(tried(of_view, float(rounded(measured[view][_RATIO].limit)))))
    if arguments.limits:
        digest = bundle.load(bundle_registry.find("chest")).card.network.digest
        arguments.limits.write_text("\n".join(limits_file(digest, measured)) + "\n", encoding="utf-8")
    if arguments.plot:
        ratios = {
            f"{view}": [(one.first[_RATIO], one.second[_RATIO]) for one in group if _has(one)]
            for view, group in by_view.items()
        }
        plot(arguments.plot, ratios)


if __name__ == "__main__":
    main()
