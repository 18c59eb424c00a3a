"""Metrics with bootstrap confidence intervals, and Platt scaling."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

Statistic = Callable[[npt.NDArray[np.intp]], float]
"""From the indices of resampled films, repeated ones included, to a value; nan if it is undefined."""

RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % bootstrap interval over patients."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auc(positive: Bools, scores: Floats) -> float:
    """Return the area under the ROC curve: the probability that a positive film scores above a negative one.

    Ties count half. nan without positive or negative films.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def with_interval(statistic: Statistic, patients: list[str], *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Return `statistic` of all films with its 95 % bootstrap interval.

    Patients are resampled with replacement, each with all films: films of one patient are not independent.

    Parameters
    ----------
    statistic
        From film indices, repeated ones included, to a value; nan, if undefined, is left out.
    patients
        The patient of each film.
    """
    generator = np.random.default_rng(seed)
    names, owner = np.unique(patients, return_inverse=True)
    films_of = [np.flatnonzero(owner == number) for number in range(len(names))]
    resampled = (generator.integers(len(names), size=len(names)) for _ in range(resamples))
    values = [statistic(np.concatenate([films_of[number] for number in sample])) for sample in resampled]
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Estimate(value=statistic(np.arange(len(patients))), low=float(low), high=float(high))


def fit_platt(logits: Floats, positive: Bools, weights: Floats) -> tuple[float, float]:
    """Return the (scale, offset) for which sigmoid(scale * logit + offset) fits best, by Newton's method.

    Platt's targets (n + 1) / (n + 2) avoid overconfidence on a small sample; the scale stays positive.
    """
    positives, negatives = positive.sum(), (~positive).sum()
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
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
