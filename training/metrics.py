"""Figures with their uncertainty."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

Statistic = Callable[[npt.NDArray[np.intp]], float]
"""From the films drawn, repeated ones included, to a value; nan where it is undefined."""

RESAMPLES = 2000

SPECIFICITY = 0.8
"""A finding that is called on more than one in five films without it is a nuisance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value and its 95 % interval by resampling patients."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auc(shown: Bools, scores: Floats) -> float:
    """Return the area under the ROC curve: how often a film with the finding scores above one without.

    Ties count half. nan if either kind is missing.
    """
    positive, negative = int(shown.sum()), int((~shown).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[shown].sum() - positive * (positive + 1) / 2) / (positive * negative))


def with_interval(statistic: Statistic, patients: list[str], *, seed: int = 0, resamples: int = RESAMPLES) -> Figure:
    """Return `statistic` of all films with its 95 % bootstrap interval.

    Patients are drawn with replacement and bring all their films: films of one patient are not independent.

    Parameters
    ----------
    statistic
        From film indices, repeated ones included, to a value; nan where it is undefined, which is left out.
    patients
        The patient of each film.
    """
    generator = np.random.default_rng(seed)
    names, owner = np.unique(patients, return_inverse=True)
    films_of = [np.flatnonzero(owner == number) for number in range(len(names))]
    drawn = (generator.integers(len(names), size=len(names)) for _ in range(resamples))
    values = [statistic(np.concatenate([films_of[number] for number in draw])) for draw in drawn]
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Figure(value=statistic(np.arange(len(patients))), low=float(low), high=float(high))


def platt(logits: Floats, shown: Bools, weights: Floats) -> tuple[float, float]:
    """Return (scale, offset) that make sigmoid(scale * logit + offset) fit best, by Newton's method.

    Platt's targets (n + 1) / (n + 2) keep a small sample from asking for certainty; the scale is kept positive.
    """
    positive, negative = shown.sum(), (~shown).sum()
    target = np.where(shown, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.stack((logits, np.ones_like(logits)), axis=1)
    solution = np.array([1.0, 0.0])
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-design @ solution))
        slope = design.T @ (weights * (predicted - target)) + np.array([1e-3 * (solution[0] - 1), 0.0])
        curvature = (design * (weights * predicted * (1 - predicted))[:, None]).T @ design + np.diag([1e-3, 1e-9])
        step = np.linalg.solve(curvature, slope)
        solution = solution - step
        if np.abs(step).max() < 1e-9:
            break
    return max(float(solution[0]), 0.05), float(solution[1])


def threshold(scores: Floats, shown: Bools, weights: Floats, *, specificity: float = SPECIFICITY) -> float:
    """Return the score at which weighted sensitivity plus specificity is largest, halfway between two films.

    Scores at which the weighted specificity is less than `specificity` are no choice.
    """
    order = np.argsort(scores)
    ordered, weight, kind = scores[order], weights[order], shown[order]
    absent_below = np.cumsum(np.where(kind, 0.0, weight)) / weight[~kind].sum()
    present_below = np.cumsum(np.where(kind, weight, 0.0)) / weight[kind].sum()
    gained = np.where(absent_below >= specificity, absent_below - present_below, -1.0)
    best = int(np.argmax(gained[:-1]))
    return float((ordered[best] + ordered[best + 1]) / 2)
