"""Two rules for the heart's width compared, by the cardiothoracic ratio of phantoms and of labelled films.

    python -m benchmarks.heart_width --phantoms 60 --films FOLDER/nih_fair FOLDER/nih_cadlab --labels LABELS.csv

"greatest": between the heart's outermost columns. "widest rows": the node's, `proportions.heart_width`. On phantoms the
error against the true ratio, by true outlines and by the bundle's. On films the AUC of the ratio for Cardiomegaly, its
difference between the rules on the same resampled patients, and the share of films from each limit up. Films that the
bundle takes for no chest film, such as those that lie on their side, are left out, as the gate does. A film belongs to
a set by the name of its folder and the column `set` of the labels.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.measure_films import Float64, auc, radiograph
from benchmarks.measure_phantoms import FIRST, order
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Structure
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.measure import preconditions, proportions
from cxr_node.measure.context import BOTH_LUNGS
from cxr_node.measure.grid import build_grid, reduce_for_measurement
from cxr_node.phantom.film import film as phantom_film
from tests.support import phantom_outlines

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_RULES = {"greatest": proportions.width, "widest rows": proportions.heart_width}
_LIMITS = (0.46, 0.48, 0.50, 0.52, 0.53, 0.54, 0.56, 0.58, 0.60)
_RESAMPLED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The ratio of a film by each rule, with its labels."""

    view: str
    patient: str
    labels: frozenset[str]
    ratios: Mapping[str, float]


def ratios(film: Radiograph, structures: Sequence[Structure]) -> dict[str, float] | None:
    """Return the ratio by each rule; None if it is not measurable."""
    grid = build_grid(reduce_for_measurement(film), structures)
    checked = preconditions.check(grid, structures, is_adult=True)
    if checked.obstacle(Anatomy.HEART, *BOTH_LUNGS):
        return None
    thorax = proportions.width(preconditions.both_lungs(grid))[0]
    return {name: rule(grid.mask(Anatomy.HEART))[0] / thorax for name, rule in _RULES.items()}


def phantom_lines(reader: Reader, count: int) -> Iterator[str]:
    """Yield the errors on phantoms."""
    errors: dict[tuple[str, str], list[float]] = {}
    for seed in range(FIRST, FIRST + count):
        view, pathologies = order(seed)
        phantom = phantom_film(seed=seed, view=view, pathology=pathologies)
        film, true = phantom_outlines.radiograph(phantom), phantom.truth.cardiothoracic_ratio
        (prediction,) = reader.read([film])
        for outlines, structures in (
            ("true", phantom_outlines.structures(phantom)),
            ("of the bundle", prediction.structures),
        ):
            for rule, ratio in (ratios(film, structures) or {}).items():
                if true is not None:
                    errors.setdefault((outlines, rule), []).append(ratio - true)
    yield "| phantoms, outlines | rule | mean absolute error (95 % interval) | mean error | n |"
    yield "|---|---|---|---|---|"
    for (outlines, rule), values in errors.items():
        error = np.array(values)
        generator = np.random.default_rng(1)
        means = [np.abs(generator.choice(error, len(error))).mean() for _ in range(_RESAMPLED)]
        low, high = np.percentile(means, (2.5, 97.5))
        figures = f"{np.abs(error).mean():.4f} ({low:.4f} to {high:.4f}) | {error.mean():+.4f}"
        yield f"| {outlines} | {rule} | {figures} | {len(error)} |"


def read_films(reader: Reader, folders: Sequence[Path], labels: Path) -> list[Row]:
    """Return the films of `folders` that the gate passes and whose ratio is measurable."""
    by_set = {folder.name: folder for folder in folders}
    rows = []
    with labels.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["set"] not in by_set:
                continue
            film = radiograph(by_set[line["set"]] / line["file"], line)
            (prediction,) = reader.read([film])
            appearance = prediction.appearance
            if appearance is not None and (appearance.view is None or appearance.distance > appearance.limit):
                continue
            values = ratios(film, prediction.structures)
            if values is not None:
                names = frozenset(line["labels"].split("|"))
                rows.append(Row(view=line["view_position"], patient=line["patient"], labels=names, ratios=values))
    return rows


def film_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the AUC for Cardiomegaly by view and rule, and the shares of films from each limit up."""
    yield "| view | against | greatest | widest rows | difference | with | without |"
    yield "|---|---|---|---|---|---|---|"
    for view in ("PA", "AP"):
        of_view = [row for row in rows if row.view == view]
        clear = [row for row in of_view if row.labels & {"Cardiomegaly", "No Finding"}]
        for against, used in (("No Finding", clear), ("all others", of_view)):
            yield f"| {view} | {against} | {_compared(used)} |"
    yield "| view | ratio from | with Cardiomegaly | No Finding | all others |"
    yield "|---|---|---|---|---|"
    for view in ("PA", "AP"):
        for limit in _LIMITS:
            yield f"| {view} | {limit:.2f} | {_called([row for row in rows if row.view == view], limit)} |"


def _compared(rows: Sequence[Row]) -> str:
    truth = np.array(["Cardiomegaly" in row.labels for row in rows])
    values = {rule: np.array([row.ratios[rule] for row in rows]) for rule in _RULES}
    names = sorted({row.patient for row in rows})
    films_of = [np.flatnonzero([row.patient == name for row in rows]) for name in names]
    generator, resampled = np.random.default_rng(1), []
    for _ in range(_RESAMPLED):
        chosen = np.concatenate([films_of[k] for k in generator.integers(len(names), size=len(names))])
        if 0 < truth[chosen].sum() < len(chosen):
            resampled.append(_aucs(values, truth, chosen))
    greatest, widest = _aucs(values, truth, np.arange(len(rows)))
    all_resampled = np.array(resampled)
    parts = [
        _with_interval(greatest, all_resampled[:, 0]),
        _with_interval(widest, all_resampled[:, 1]),
        _with_interval(widest - greatest, all_resampled[:, 1] - all_resampled[:, 0]),
    ]
    return f"{' | '.join(parts)} | {truth.sum()} | {(~truth).sum()}"


def _aucs(values: Mapping[str, Float64], truth: Bools, chosen: Places) -> tuple[float, float]:
    present = truth[chosen]
    greatest, widest = (auc(value[chosen][present], value[chosen][~present]) for value in values.values())
    return greatest, widest


def _with_interval(value: float, resampled: Float64) -> str:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _called(rows: Sequence[Row], limit: float) -> str:
    groups = (
        [row for row in rows if "Cardiomegaly" in row.labels],
        [row for row in rows if "No Finding" in row.labels],
        [row for row in rows if "Cardiomegaly" not in row.labels],
    )
    counts = [sum(row.ratios["widest rows"] >= limit for row in group) for group in groups]
    return " | ".join(f"{count} of {len(group)}" for count, group in zip(counts, groups, strict=True))


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="chest")
    parser.add_argument("--phantoms", type=int, default=0)
    parser.add_argument("--films", type=Path, nargs="*", default=[])
    parser.add_argument("--labels", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reader = Reader(bundle.load(bundle_registry.find(arguments.bundle)), device="cpu")
    if arguments.phantoms:
        print("\n".join(phantom_lines(reader, arguments.phantoms)))
    if arguments.films:
        print("\n".join(film_lines(read_films(reader, arguments.films, arguments.labels))))


if __name__ == "__main__":
    main()
