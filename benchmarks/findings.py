"""Scores of a bundle against labels of films chosen without regard to the picture.

    python -m benchmarks.findings FOLDER TABLE.csv --sets SET ... [--unseen-by SET ...] [--bundle NAME_OR_FOLDER]

FOLDER holds one folder of PNG films for each set; TABLE names them in `set` and `file`, with `labels` separated by |,
`view_position`, `patient` and `rsna` (a radiologist's reading, empty where there is none). `--unseen-by` leaves out
patients of another set, for example the one that a model was trained on. A film in several sets counts once.

Printed for each finding, view and source of labels: AUC, sensitivity and specificity at the operating point, each with
a 95 % interval by resampling patients; the fraction of No Finding films called present; Spearman's correlation of
the score with whole-film statistics among them; and the change of the score when the same film is exposed otherwise.
Before any figure: with which AUC whole-film statistics alone predict each label of the chosen sets. Above 0.60 the
set must neither teach nor judge that label.
"""

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.load.tables import markdown
from cxr_node.domain.radiograph import WHITE, Radiograph
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from training import datasets
from training.film_statistics import FEWEST_FILMS, LARGEST_AUC, columns_of, rank_correlation, separation, statistics_of
from training.metrics import Bools, Floats, auc, with_interval

NO_FINDING = "No Finding"

EXPOSURES: dict[str, Callable[[Floats], Floats]] = {
    "gamma 0.7": lambda gray: gray**0.7,
    "gamma 1.4": lambda gray: gray**1.4,
    "narrower window": lambda gray: np.clip((gray - 0.1) / 0.8, 0, 1),
    "gray x 0.75 + 0.25": lambda gray: gray * 0.75 + 0.25,
}
"""Exposures and gray scales that change no anatomy, on gray values 0.0 to 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One row of the table. `rsna` is None where no radiologist read the film."""

    path: Path
    patient: str
    view: str
    labels: frozenset[str]
    rsna: bool | None


def films_of(folder: Path, path: Path, sets: Sequence[str], unseen_by: Sequence[str]) -> list[Film]:
    """Return the films of `sets` without patients of `unseen_by`, each file once."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    excluded = {row["patient"] for row in rows if row["set"] in unseen_by}
    chosen = {row["file"]: row for row in rows if row["set"] in sets and row["patient"] not in excluded}
    return [
        Film(
            path=folder / row["set"] / row["file"],
            patient=row["patient"],
            view=row["view_position"],
            labels=frozenset(row["labels"].split("|")),
            rsna=row["rsna"] == "opacity" if row["rsna"] else None,
        )
        for row in chosen.values()
    ]


def scores_of(reader: Reader, films: Sequence[Radiograph]) -> dict[str, Floats]:
    """Return each finding's scores, shape (films,), 0.0 to 1.0."""
    scores: dict[str, list[float]] = {}
    for film in films:
        (outputs,) = reader.forward([reader.adapter.preprocess(film)])
        for finding in reader.adapter.decode_outputs(film.geometry, outputs).findings:
            scores.setdefault(finding.key, []).append(finding.score)
    return {key: np.array(values) for key, values in scores.items()}


def exposed(film: Radiograph, change: Callable[[Floats], Floats]) -> Radiograph:
    """Return the film with another gray scale."""
    gray = change(film.p_values.astype(np.float64) / WHITE)
    return replace(film, p_values=np.rint(gray * WHITE).astype(np.uint16))


def confounders(films: Sequence[Film]) -> Iterator[tuple[str, ...]]:
    """Yield, for each label with enough films, the statistic that predicts it best."""
    columns = columns_of([statistics_of(film.path) for film in films])
    patients = [film.patient for film in films]
    for label in sorted(set().union(*(film.labels for film in films))):
        has_label = np.array([label in film.labels for film in films])
        if min(has_label.sum(), (~has_label).sum()) < FEWEST_FILMS:
            continue
        figures = {name: separation(values, has_label, patients) for name, values in columns.items()}
        name = max(figures, key=lambda name: figures[name].value)
        verdict = "may judge" if figures[name].value < LARGEST_AUC else "must not judge"
        yield label, str(has_label.sum()), name, str(figures[name]), verdict


def accuracy(films: Sequence[Film], key: str, scores: Floats, point: float) -> Iterator[tuple[str, ...]]:
    """Yield the figures of one finding for each view and source of labels."""
    mined = datasets.FINDINGS.get(key, frozenset())
    sources = {"mined": np.array([bool(film.labels & mined) for film in films])}
    if key == "lung_opacity":
        sources["radiologists"] = np.array([bool(film.rsna) for film in films])
    for source, truth in sources.items():
        for view in ("all", "PA", "AP"):
            is_used = np.array([view in ("all", film.view) for film in films])
            if source == "radiologists":
                is_used &= np.array([film.rsna is not None for film in films])
            used = np.flatnonzero(is_used)
            patients = [films[int(number)].patient for number in used]
            if min(truth[used].sum(), (~truth[used]).sum()) < 5:
                continue
            figures = (
                with_interval(statistic, patients) for statistic in _statistics(truth[used], scores[used], point)
            )
            yield key, source, view, f"{len(used)} ({truth[used].sum()})", *map(str, figures)


def _statistics(truth: Bools, scores: Floats, point: float) -> tuple[Callable[[np.ndarray], float], ...]:
    """Return AUC, sensitivity and specificity as functions of film indices."""
    is_right = (scores >= point) == truth

    def share(kind: bool) -> Callable[[np.ndarray], float]:
        def right_among(films: np.ndarray) -> float:
            chosen = films[truth[films] == kind]
            return float(is_right[chosen].mean()) if len(chosen) else float("nan")

        return right_among

    return lambda films: auc(truth[films], scores[films]), share(True), share(False)


def correlations(columns: dict[str, Floats], chosen: Bools, scores: Floats) -> list[str]:
    """Return Spearman's correlation of the scores with each statistic among chosen films."""
    return [f"{rank_correlation(column[chosen], scores[chosen]):+.2f}" for column in columns.values()]


def show(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, each line as soon as it is computed."""
    for line in markdown(headings, rows):
        print(line, flush=True)
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--unseen-by", nargs="*", default=[])
    parser.add_argument("--bundle", default="chest")
    parser.add_argument("--exposed", type=int, default=100, help="films whose exposure is changed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    films = films_of(arguments.folder, arguments.table, arguments.sets, arguments.unseen_by)
    show(("label", "films with it", "best statistic", "AUC", ""), confounders(films))
    opened = bundle.load(bundle_registry.find(arguments.bundle, Path("bundles")))
    reader = Reader(opened, device="cpu")
    radiographs = [datasets.radiograph(film.path) for film in films]
    scores = scores_of(reader, radiographs)
    points = {point.label: point.score for point in opened.card.operating_points.points}
    rows = [row for key, values in scores.items() for row in accuracy(films, key, values, points[key])]
    show(("finding", "labels", "view", "films (with)", "AUC", "sensitivity", "specificity"), rows)
    normal = np.array([film.labels == {NO_FINDING} for film in films])
    columns = columns_of([statistics_of(film.path) for film in films])
    rows = [
        (
            key,
            str(normal.sum()),
            f"{(values[normal] >= points[key]).mean():.2f}",
            *correlations(columns, normal, values),
        )
        for key, values in scores.items()
    ]
    show(("finding", "No Finding films", "called present", *columns), rows)
    some = range(0, len(films), max(1, len(films) // arguments.exposed))
    changed = {
        name: scores_of(reader, [exposed(radiographs[number], change) for number in some])
        for name, change in EXPOSURES.items()
    }
    rows = [
        (key, name, f"{np.abs(others[key] - values[list(some)]).mean():.3f}")
        for key, values in scores.items()
        for name, others in changed.items()
    ]
    show(("finding", "exposure", f"mean change of the score, {len(some)} films"), rows)


if __name__ == "__main__":
    main()
