"""Trains findings: linear heads over cell features, so that the map of contributions explains the score.

The anatomy network runs a second time on the thorax alone, with gray outside. The part of the cell features that the
anatomical context explains on films without finding is subtracted. The rest is averaged over zones of the lungs, their
bases and the thorax, and weighted by logistic regression.
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
from training.anatomy import FRAME
from training.datasets import FINDINGS, LabeledFilm
from training.evaluate import load
from training.features import Features, FilmPass, Indices, extract_features
from training.metrics import Bools, Floats

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
THUMBNAIL_STRENGTHS = (1e-4, 3e-4, 1e-3, 1e-2, 1e-1)

MIN_AUC = 0.65
"""A finding is left out of the bundle if the lower bound of its AUC is below this."""

BINS = 10
"""Groups of films of similar scores, for the calibration error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Labels, sample weights and fold of every film, each (films,)."""

    positive: Bools
    weights: Floats
    fold: Indices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFoldPredictions:
    """Predictions for every film, each (films,), by the fit whose training set excludes its patient.

    `logits` are calibrated, and the operating point of `present` is chosen, on the films of the other folds. The others
    are baselines: thumbnails of film and thorax, the same heads on the whole film, and the film without its thorax.
    """

    logits: Floats
    present: Bools
    thumbnails: Floats
    thorax_thumbnails: Floats
    whole: Floats
    rest: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Heads of all folds: the output of one is the sum of heads * (parts, context), plus its bias.

    Shapes: heads (fits, 8, 184), bias (fits,). The mean over fits, times `scale`, plus `offset`, is the finding's
    logit, and `threshold` its operating point.
    """

    heads: Floats
    bias: Floats
    scale: float
    offset: float
    threshold: float


def run(arguments: argparse.Namespace) -> None:
    """Fit the findings, write `findings.pt` and `findings.json` into the work folder, and print the metrics."""
    torch.set_num_threads(arguments.threads)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    features = extract_features(load(arguments.work), datasets.load(films, FRAME))
    rows: list[dict[str, object]] = []
    reports, fits = [], {}
    for name, labels in FINDINGS.items():
        positive = np.array([bool(film.labels & labels) for film in films])
        predictions, fit = cross_validate(films, positive, features, seed=arguments.seed)
        rows += [metrics_row(name, films, positive, predictions, view) for view in (None, View.PA, View.AP)]
        reports.append(report_data(name, films, positive, predictions, fit))
        fits[name] = {key: torch.as_tensor(value) for key, value in asdict(fit).items()}
    table = {
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "findings": reports,
        "rows": rows,
    }
    (arguments.work / "findings.json").write_text(json.dumps(table, indent=1))
    torch.save(fits, arguments.work / "findings.pt")
    print(as_text(rows))


def cross_validate(
    films: tuple[LabeledFilm, ...], positive: Bools, features: Features, *, seed: int
) -> tuple[OutOfFoldPredictions, Fit]:
    """Fit one finding by five-fold cross-validation over patients; predict each fold with the fit that excludes it."""
    weights = datasets.balanced_weights(films, positive)
    normal = np.array([film.labels == datasets.NO_FINDING for film in films])
    folds = np.array([datasets.bin_of(film.patient, seed=seed) * datasets.FOLDS // datasets.BINS for film in films])
    labels = Labels(positive=positive, weights=weights, fold=folds)
    raw, whole = np.zeros(len(films)), np.zeros(len(films))
    rest, small, thorax = np.zeros(len(films)), np.zeros(len(films)), np.zeros(len(films))
    heads, bias = [], []
    for number in range(datasets.FOLDS):
        test, train = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        for film_pass, target in ((FilmPass.WHOLE, whole), (FilmPass.THORAX, raw)):
            head, offset = fit_fold(features, film_pass, labels, train, normal=train[normal[train]])
            inputs = np.concatenate((features.parts[film_pass], features.context), 2)[test]
            target[test] = np.einsum("fpc,pc->f", inputs, head) + offset
        heads.append(head)
        bias.append(offset)
        for inputs, target, strengths in (
            (features.rest, rest, STRENGTHS),
            (features.thumbnails[FilmPass.WHOLE], small, THUMBNAIL_STRENGTHS),
            (features.thumbnails[FilmPass.THORAX], thorax, THUMBNAIL_STRENGTHS),
        ):
            slope, offset = fit_logistic_regression(inputs, labels, train, strengths)
            target[test] = inputs[test] @ slope + offset
    logits, present = _call(raw, labels)
    scale, offset = metrics.fit_platt(raw, positive, np.ones(len(films)))
    fit = Fit(
        heads=np.stack(heads),
        bias=np.array(bias),
        scale=scale,
        offset=offset,
        threshold=metrics.choose_threshold(scale * raw + offset, positive, weights),
    )
    predictions = OutOfFoldPredictions(
        logits=logits, present=present, thumbnails=small, thorax_thumbnails=thorax, whole=whole, rest=rest
    )
    return predictions, fit


def fit_fold(
    features: Features, film_pass: FilmPass, labels: Labels, train: Indices, *, normal: Indices
) -> tuple[Floats, float]:
    """Fit the head of one finding on the films `train`.

    The part of the features that the context explains on the films `normal`, and their mean residual, are subtracted
    first, so that a normal cell contributes nothing.

    Returns
    -------
    tuple[Floats, float]
        Weights (8, 184) for `Features.parts` and `Features.context`, and a bias.
    """
    explained = features.explained(film_pass, normal)  # (20, 164)
    residuals = features.parts[film_pass] - features.context @ explained  # (films, 8, 164)
    mean = residuals[normal].mean(0)  # (8, 164)
    slope, offset = fit_logistic_regression((residuals - mean).reshape(len(residuals), -1), labels, train, STRENGTHS)
    weight = slope.reshape(mean.shape)
    context = -weight @ explained.T
    # The first number of the context is 1 everywhere.
    context[:, 0] -= (weight * mean).sum(1)
    return np.concatenate((weight, context), 1), offset


def fit_logistic_regression(
    inputs: Floats, labels: Labels, train: Indices, strengths: tuple[float, ...]
) -> tuple[Floats, float]:
    """Return slope and offset of a calibrated logistic regression on the films `train`.

    Regularization strength and calibration come from cross-validation over the folds among them.
    """
    positive, weights = labels.positive, labels.weights

    def fit(strength: float, films: Indices) -> tuple[Floats, float]:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=3000))
        model.fit(inputs[films], positive[films], logisticregression__sample_weight=weights[films])
        scaler, regression = (step for _, step in model.steps)
        slope = regression.coef_[0] / scaler.scale_
        return slope, float(regression.intercept_[0] - slope @ scaler.mean_)

    def out_of_fold(strength: float) -> Floats:
        scores = np.zeros(len(positive))
        for number in np.unique(labels.fold[train]):
            held_out = labels.fold[train] == number
            slope, offset = fit(strength, train[~held_out])
            scores[train[held_out]] = inputs[train[held_out]] @ slope + offset
        return scores[train]

    scores = {strength: out_of_fold(strength) for strength in strengths}
    best = max(strengths, key=lambda strength: metrics.auc(positive[train], scores[strength]))
    scale, shift = metrics.fit_platt(scores[best], positive[train], weights[train])
    slope, offset = fit(best, train)
    return slope * scale, offset * scale + shift


def _call(raw: Floats, labels: Labels) -> tuple[Floats, Bools]:
    """Return calibrated logits and calls; calibration and operating point come from the other folds."""
    positive, weights = labels.positive, labels.weights
    logits, present = np.zeros(len(raw)), np.zeros(len(raw), np.bool_)
    for number in range(datasets.FOLDS):
        others, own = labels.fold != number, labels.fold == number
        scale, offset = metrics.fit_platt(raw[others], positive[others], np.ones(int(others.sum())))
        logits[own] = scale * raw[own] + offset
        present[own] = logits[own] >= metrics.choose_threshold(
            scale * raw[others] + offset, positive[others], weights[others]
        )
    return logits, present


def metrics_row(
    name: str, films: tuple[LabeledFilm, ...], positive: Bools, predictions: OutOfFoldPredictions, view: View | None
) -> dict[str, object]:
    """Return the metrics of one finding on the films of one view, or on all."""
    chosen = np.array([view is None or film.view is view for film in films])
    patients = [film.patient for film, is_chosen in zip(films, chosen, strict=True) if is_chosen]
    positive, present = positive[chosen], predictions.present[chosen]
    logits, small, thorax = (
        predictions.logits[chosen],
        predictions.thumbnails[chosen],
        predictions.thorax_thumbnails[chosen],
    )
    whole, rest = predictions.whole[chosen], predictions.rest[chosen]
    scores = 1 / (1 + np.exp(-logits))

    def interval(statistic: metrics.Statistic) -> dict[str, float]:
        return asdict(metrics.with_interval(statistic, patients))

    return {
        "finding": name,
        "view": view or "all",
        "films": int(chosen.sum()),
        "patients": len(set(patients)),
        "with_finding": int(positive.sum()),
        "AUC": interval(lambda n: metrics.auc(positive[n], logits[n])),
        "thumbnails": interval(lambda n: metrics.auc(positive[n], small[n])),
        "gain": interval(lambda n: metrics.auc(positive[n], logits[n]) - metrics.auc(positive[n], small[n])),
        "thumbnails of the thorax": interval(lambda n: metrics.auc(positive[n], thorax[n])),
        "gain on these": interval(lambda n: metrics.auc(positive[n], logits[n]) - metrics.auc(positive[n], thorax[n])),
        "whole film": interval(lambda n: metrics.auc(positive[n], whole[n])),
        "without the thorax": interval(lambda n: metrics.auc(positive[n], rest[n])),
        "sensitivity": interval(lambda n: _share(present[n], positive[n])),
        "specificity": interval(lambda n: _share(~present[n], ~positive[n])),
        "ECE": interval(lambda n: calibration_error(scores[n], positive[n])),
    }


def calibration_error(scores: Floats, positive: Bools) -> float:
    """Return the expected calibration error over ten groups of as many films each (Naeini et al., AAAI 2015)."""
    groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(len(g) * abs(scores[g].mean() - positive[g].mean()) for g in groups if len(g)) / len(scores))


def report_data(
    name: str, films: tuple[LabeledFilm, ...], positive: Bools, predictions: OutOfFoldPredictions, fit: Fit
) -> dict[str, object]:
    """Return the data of a finding for the report: operating point, and score and label of each film."""
    return {
        "name": name,
        "threshold": fit.threshold,
        "films": [film.path.name for film in films],
        "views": [film.view for film in films],
        "positive": positive.tolist(),
        "logits": [round(float(logit), 4) for logit in predictions.logits],
    }


def as_text(rows: list[dict[str, object]]) -> str:
    """Return the metrics as a Markdown table."""
    names = [name for name, value in rows[0].items() if isinstance(value, dict)]
    lines = ["| finding | view | films (with finding) | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for line in rows:
        cells = [_cell(line[name]) for name in names]
        start = f"| {line['finding']} | {line['view']} | {line['films']} ({line['with_finding']}) | "
        lines.append(start + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(estimate: object) -> str:
    """Return an estimate with its interval."""
    parts: dict[str, float] = estimate if isinstance(estimate, dict) else {}
    return f"{parts['value']:.3f} ({parts['low']:.3f} to {parts['high']:.3f})"


def _share(called: Bools, among: Bools) -> float:
    return float(called[among].mean()) if among.any() else float("nan")
