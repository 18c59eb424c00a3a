"""Findings: weighted sums over cells, so that the map is the explanation, cell by cell.

The network for anatomy looks a second time, at the thorax alone, all else being gray. What it then knows of each cell,
less what the anatomy around the cell explains on films without finding, is averaged over zones of the lungs, their
bases and the thorax, and weighed.
"""

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_node.domain.radiograph import View
from training import datasets, metrics
from training.anatomy import WHOLE
from training.datasets import FINDINGS, LabelledFilm
from training.evaluate import load
from training.features import Look, Places, Seen, seen_of
from training.metrics import Bools, Floats

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
THUMBNAIL_STRENGTHS = (1e-4, 3e-4, 1e-3, 1e-2, 1e-1)

LEAST = 0.65
"""A finding whose AUC has a lower bound under this is not offered."""

BINS = 10
"""Groups of films of like scores, for the calibration error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """What is known of every film, each (films,): whether it shows the finding, its weight, its patient's fifth."""

    shown: Bools
    weights: Floats
    fifth: Places


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFoldPredictions:
    """What is said of every film, each (films,): by the fit that never saw its patient.

    `logits` are calibrated on the films of the other fits; `present` is called at an operating point chosen on these.
    The others are what these are held against: `thumbnails` of film and thorax, the same sums on the whole film, and
    what is told by the film without its thorax.
    """

    logits: Floats
    present: Bools
    thumbnails: Floats
    thorax_thumbnails: Floats
    whole: Floats
    rest: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """How fits are joined: what one says is the sum of heads * (parts, around), plus its bias.

    Shapes: heads (fits, 8, 184), bias (fits,). The mean over fits, times `scale`, plus `offset`, is the finding's
    logit, and `threshold` its operating point.
    """

    heads: Floats
    bias: Floats
    scale: float
    offset: float
    threshold: float


def run(arguments: argparse.Namespace) -> None:
    """Fit the findings: write `findings.pt` and `findings.json` into the work folder and print the figures."""
    torch.set_num_threads(arguments.threads)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    seen = seen_of(load(arguments.work), datasets.load(films, WHOLE))
    rows: list[dict[str, object]] = []
    told_of, fits = [], {}
    for name, labels in FINDINGS.items():
        shown = np.array([bool(film.labels & labels) for film in films])
        opinions, fit = cross_validate(films, shown, seen, seed=arguments.seed)
        rows += [row(name, films, shown, opinions, view) for view in (None, View.PA, View.AP)]
        told_of.append(told(name, films, shown, opinions, fit))
        fits[name] = {key: torch.as_tensor(value) for key, value in asdict(fit).items()}
    table = {
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "findings": told_of,
        "rows": rows,
    }
    (arguments.work / "findings.json").write_text(json.dumps(table, indent=1))
    torch.save(fits, arguments.work / "findings.pt")
    print(as_text(rows))


def cross_validate(
    films: tuple[LabelledFilm, ...], shown: Bools, seen: Seen, *, seed: int
) -> tuple[OutOfFoldPredictions, Fit]:
    """Fit one finding five times, each time without the patients of a fifth, and judge each on its fifth."""
    weights = datasets.balance(films, shown)
    normal = np.array([film.labels == datasets.NO_FINDING for film in films])
    fifth = np.array([datasets.bin_of(film.patient, seed=seed) * datasets.MEMBERS // datasets.BINS for film in films])
    known = Labels(shown=shown, weights=weights, fifth=fifth)
    raw, whole = np.zeros(len(films)), np.zeros(len(films))
    rest, small, thorax = np.zeros(len(films)), np.zeros(len(films)), np.zeros(len(films))
    heads, bias = [], []
    for number in range(datasets.MEMBERS):
        test, learned = np.flatnonzero(fifth == number), np.flatnonzero(fifth != number)
        for look, into in ((Look.WHOLE, whole), (Look.THORAX, raw)):
            one, offset = fit_fold(seen, look, known, learned, normal=learned[normal[learned]])
            into[test] = np.einsum("fpc,pc->f", np.concatenate((seen.parts[look], seen.around), 2)[test], one) + offset
        heads.append(one)
        bias.append(offset)
        for inputs, into, strengths in (
            (seen.rest, rest, STRENGTHS),
            (seen.thumbnails[Look.WHOLE], small, THUMBNAIL_STRENGTHS),
            (seen.thumbnails[Look.THORAX], thorax, THUMBNAIL_STRENGTHS),
        ):
            slope, offset = fitted(inputs, known, learned, strengths)
            into[test] = inputs[test] @ slope + offset
    logits, present = _called(raw, known)
    scale, offset = metrics.platt(raw, shown, np.ones(len(films)))
    fit = Fit(
        heads=np.stack(heads),
        bias=np.array(bias),
        scale=scale,
        offset=offset,
        threshold=metrics.threshold(scale * raw + offset, shown, weights),
    )
    opinions = OutOfFoldPredictions(
        logits=logits, present=present, thumbnails=small, thorax_thumbnails=thorax, whole=whole, rest=rest
    )
    return opinions, fit


def fit_fold(seen: Seen, look: Look, known: Labels, learned: Places, *, normal: Places) -> tuple[Floats, float]:
    """Fit what one look tells of a finding to the films `learned`.

    What surroundings explain on the films `normal` is taken away before, and so is what is left there on average: a
    cell that looks as it should adds nothing.

    Returns
    -------
    tuple[Floats, float]
        Weights (8, 184) on what `Seen.parts` and `Seen.around` hold, and a bias.
    """
    explained = seen.explained(look, normal)  # (20, 164)
    left = seen.parts[look] - seen.around @ explained  # (films, 8, 164)
    usual = left[normal].mean(0)  # (8, 164)
    slope, offset = fitted((left - usual).reshape(len(left), -1), known, learned, STRENGTHS)
    weight = slope.reshape(usual.shape)
    around = -weight @ explained.T
    # The first of the surroundings is 1 everywhere.
    around[:, 0] -= (weight * usual).sum(1)
    return np.concatenate((weight, around), 1), offset


def fitted(inputs: Floats, known: Labels, learned: Places, strengths: tuple[float, ...]) -> tuple[Floats, float]:
    """Return slope and offset of a logistic regression on the films `learned`, calibrated.

    Strength and calibration are those that do best when each fifth of the patients among them is left out in turn.
    """
    shown, weights = known.shown, known.weights

    def of(strength: float, films: Places) -> tuple[Floats, float]:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=3000))
        model.fit(inputs[films], shown[films], logisticregression__sample_weight=weights[films])
        scaler, regression = (step for _, step in model.steps)
        slope = regression.coef_[0] / scaler.scale_
        return slope, float(regression.intercept_[0] - slope @ scaler.mean_)

    def left_out(strength: float) -> Floats:
        said = np.zeros(len(shown))
        for number in np.unique(known.fifth[learned]):
            out = known.fifth[learned] == number
            slope, offset = of(strength, learned[~out])
            said[learned[out]] = inputs[learned[out]] @ slope + offset
        return said[learned]

    tried = {strength: left_out(strength) for strength in strengths}
    best = max(strengths, key=lambda strength: metrics.auc(shown[learned], tried[strength]))
    scale, moved = metrics.platt(tried[best], shown[learned], weights[learned])
    slope, offset = of(best, learned)
    return slope * scale, offset * scale + moved


def _called(raw: Floats, known: Labels) -> tuple[Floats, Bools]:
    """Return calibrated logits, and what is called present: by what the films of the other fits say."""
    shown, weights = known.shown, known.weights
    logits, present = np.zeros(len(raw)), np.zeros(len(raw), np.bool_)
    for number in range(datasets.MEMBERS):
        others, own = known.fifth != number, known.fifth == number
        scale, offset = metrics.platt(raw[others], shown[others], np.ones(int(others.sum())))
        logits[own] = scale * raw[own] + offset
        present[own] = logits[own] >= metrics.threshold(scale * raw[others] + offset, shown[others], weights[others])
    return logits, present


def row(
    name: str, films: tuple[LabelledFilm, ...], shown: Bools, opinions: OutOfFoldPredictions, view: View | None
) -> dict[str, object]:
    """Return the figures of one finding on the films of one view, or on all."""
    chosen = np.array([view is None or film.view is view for film in films])
    patients = [film.patient for film, taken in zip(films, chosen, strict=True) if taken]
    shown, present = shown[chosen], opinions.present[chosen]
    logits, small, thorax = opinions.logits[chosen], opinions.thumbnails[chosen], opinions.thorax_thumbnails[chosen]
    whole, rest = opinions.whole[chosen], opinions.rest[chosen]
    scores = 1 / (1 + np.exp(-logits))

    def interval(statistic: metrics.Statistic) -> dict[str, float]:
        return asdict(metrics.with_interval(statistic, patients))

    return {
        "finding": name,
        "view": view or "all",
        "films": int(chosen.sum()),
        "patients": len(set(patients)),
        "with_finding": int(shown.sum()),
        "AUC": interval(lambda n: metrics.auc(shown[n], logits[n])),
        "thumbnails": interval(lambda n: metrics.auc(shown[n], small[n])),
        "gain": interval(lambda n: metrics.auc(shown[n], logits[n]) - metrics.auc(shown[n], small[n])),
        "thumbnails of the thorax": interval(lambda n: metrics.auc(shown[n], thorax[n])),
        "gain on these": interval(lambda n: metrics.auc(shown[n], logits[n]) - metrics.auc(shown[n], thorax[n])),
        "whole film": interval(lambda n: metrics.auc(shown[n], whole[n])),
        "without the thorax": interval(lambda n: metrics.auc(shown[n], rest[n])),
        "sensitivity": interval(lambda n: _share(present[n], shown[n])),
        "specificity": interval(lambda n: _share(~present[n], ~shown[n])),
        "ECE": interval(lambda n: calibration_error(scores[n], shown[n])),
    }


def calibration_error(scores: Floats, shown: Bools) -> float:
    """Return the expected calibration error over ten groups of as many films each (Naeini et al., AAAI 2015)."""
    groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(len(g) * abs(scores[g].mean() - shown[g].mean()) for g in groups if len(g)) / len(scores))


def told(
    name: str, films: tuple[LabelledFilm, ...], shown: Bools, opinions: OutOfFoldPredictions, fit: Fit
) -> dict[str, object]:
    """Return what a report needs of a finding: its operating point, and score and truth of each film."""
    return {
        "name": name,
        "threshold": fit.threshold,
        "films": [film.path.name for film in films],
        "views": [film.view for film in films],
        "shown": shown.tolist(),
        "logits": [round(float(logit), 4) for logit in opinions.logits],
    }


def as_text(rows: list[dict[str, object]]) -> str:
    """Return the figures as a Markdown table."""
    names = [name for name, value in rows[0].items() if isinstance(value, dict)]
    lines = ["| finding | view | films (with finding) | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for line in rows:
        cells = [_cell(line[name]) for name in names]
        start = f"| {line['finding']} | {line['view']} | {line['films']} ({line['with_finding']}) | "
        lines.append(start + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: object) -> str:
    """Return a figure with its interval."""
    parts: dict[str, float] = figure if isinstance(figure, dict) else {}
    return f"{parts['value']:.3f} ({parts['low']:.3f} to {parts['high']:.3f})"


def _share(called: Bools, among: Bools) -> float:
    return float(called[among].mean()) if among.any() else float("nan")
