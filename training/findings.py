"""Fits the findings on features of cells, and judges them on patients that the fit did not see.

Opacity: a logistic regression on cells of the lungs, with radiologists' boxes as labels, and with planted opacities;
a film's logit is the soft maximum over its lungs. Other findings: ridge regressions on means over regions, with the
logits of a published network as targets (distillation; Hinton et al., 2015).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from training import evaluate, features, judge, lesions, readings
from training.cells import CHANNELS, REGIONS, CellFeatures, Regions
from training.features import Features
from training.metrics import Bools, Floats
from training.mobilenet import pretrained
from training.readings import FOLDS, ReadFilm

OPACITY = "lung_opacity"
LABELS = {"pleural_effusion": "Effusion", "lung_mass": "Mass", "pulmonary_fibrosis": "Fibrosis", "edema": "Edema"}
"""Findings that are distilled, and their label in the table. Only those that are good enough are offered."""

STRENGTH = 1e-4
"""Inverse of the L2 penalty of the logistic regression, on standardized features."""
PENALTY = 2500.0
"""L2 penalty of the ridge regression, on standardized features."""

ANATOMY_SCALE = 3**0.5
"""Standardized features of the anatomy network are this much larger, hence penalized less: they are few."""

LUNG_CELL = 0.3
"""A cell belongs to the lungs from this share on."""
OPAQUE = 0.5
"""A cell is opaque from this share on, and free of opacity at 0."""
NEGATIVES = 4
"""Negative cells drawn for each positive one."""
PLANTED_WEIGHT = 0.3
"""Weight of a planted opacity's cells, relative to those of a radiologist's box."""
MINED_WEIGHT = 0.5
"""Weight of cells of films without mined finding that no radiologist read."""
LARGEST_WEIGHT = 4.0
"""A film with few opaque cells counts as much as others, up to this weight of each cell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpacityFit:
    """Logit of a cell: own @ cell - other @ mirrored cell + bias. Shapes: own, other (1472,)."""

    own: Floats
    other: Floats
    bias: float

    def cell_logits(self, cells: Floats) -> Floats:
        """(films, 1472, 11, 11) -> (films, 11, 11)."""
        own = np.einsum("ncij,c->nij", cells, self.own)
        other = np.einsum("ncij,c->nij", cells, self.other)
        logits: Floats = own - other[:, :, ::-1] + self.bias
        return logits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionFit:
    """Logit of a film: weights (3, 1472) on means over regions, anatomy (160,) on `Features.anatomy`, and a bias."""

    weights: Floats
    anatomy: Floats
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """Films with their features, and copies of some of them with planted opacities.

    `planted_of` are the films of the copies, as indices.
    """

    films: Sequence[ReadFilm]
    features: Features
    planted: Features
    planted_of: npt.NDArray[np.intp]

    @property
    def folds(self) -> npt.NDArray[np.intp]:
        """Fold of each film."""
        return np.array([film.fold for film in self.films])


def run(arguments: argparse.Namespace) -> None:
    """Fit and judge all findings; write `findings.pt` and `findings.json` into the work folder."""
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    encoder = features.Encoder(evaluate.load(work), CellFeatures(pretrained())).eval()
    listed = readings.read_table(arguments.readings, arguments.readings_films, chosen=arguments.fair)
    films = features.upright(encoder, listed)
    data = training_set(encoder, films, work=work, seed=arguments.seed)
    normal = [film for film, is_normal in zip(films, judge.normal(films), strict=True) if is_normal]
    tested = features.extract_planted(
        encoder,
        normal,
        cache=work / "planted-test.npz",
        seed=arguments.seed + 1,
        diameter_mm=lesions.TEST_DIAMETER_MM,
        contrast=lesions.TEST_CONTRAST,
    )
    cell_logits, planted_logits, fits = cross_validate_opacity(data, normal, tested, seed=arguments.seed)
    raw = judge.film_logits(cell_logits, data.features.lungs)
    table, heads = judge.opacity(OPACITY, films, raw, cell_logits, data.features, planted_logits, tested)
    saved: dict[str, Any] = {OPACITY: {**heads, **_mean(fits)}}
    rows = [table]
    means = region_means(data.features)
    for name, label in LABELS.items():
        logits, region_fits = cross_validate_regions(data, means, label)
        table, heads = judge.distilled(name, label, films, logits)
        saved[name] = {**heads, **_mean(region_fits)}
        rows.append(table)
    (work / "findings.json").write_text(json.dumps(rows, indent=1))
    torch.save({name: _tensors(fit) for name, fit in saved.items()}, work / "findings.pt")
    print(judge.as_text(rows))


def training_set(encoder: features.Encoder, films: Sequence[ReadFilm], *, work: Path, seed: int) -> TrainingSet:
    """Return films with their features; opacities are planted in films read, or mined, as without one."""
    free = [n for n, film in enumerate(films) if film.opacity is False or _is_mined_negative(film)]
    return TrainingSet(
        films=films,
        features=features.extract(encoder, films, cache=work / "cells.npz"),
        planted=features.extract_planted(
            encoder, [films[number] for number in free], cache=work / "planted.npz", seed=seed
        ),
        planted_of=np.array(free),
    )


def cross_validate_opacity(
    data: TrainingSet, normal: Sequence[ReadFilm], tested: Features, *, seed: int
) -> tuple[Floats, Floats, list[OpacityFit]]:
    """Return logits of cells, (films, 11, 11), of films and of films with test opacities, and the fits.

    Each film's logits are by the fit that did not see its patient.
    """
    logits = np.zeros(data.features.lungs.shape)
    planted = np.zeros(tested.lungs.shape)
    normal_folds = np.array([film.fold for film in normal])
    fits = []
    for number in range(FOLDS):
        fit = fit_opacity(data, data.folds != number, seed=seed)
        own, own_planted = data.folds == number, normal_folds == number
        logits[own] = fit.cell_logits(data.features.cells[own].astype(np.float32))
        planted[own_planted] = fit.cell_logits(tested.cells[own_planted].astype(np.float32))
        fits.append(fit)
    return logits, planted, fits


def fit_opacity(data: TrainingSet, chosen: Bools, *, seed: int) -> OpacityFit:
    """Fit opacity on the cells of the films `chosen`, (films,)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(seed)
    films = data.films
    read = np.array([film.opacity is not None for film in films])
    mined = np.array([_is_mined_negative(film) for film in films])
    groups = (
        (data.features, chosen & read, 1.0),
        (data.features, chosen & mined, MINED_WEIGHT),
        (data.planted, (chosen & (read | mined))[data.planted_of], PLANTED_WEIGHT),
    )
    inputs, targets, weights = [], [], []
    budget = NEGATIVES * _positive(data.features, chosen & read).sum()
    for source, use, weight in groups:
        positive, negative = _positive(source, use), _negative(source, use)
        share = _share_of_film(positive)
        chance = min(1.0, budget / max(int(negative.sum()), 1))
        drawn = negative & (generator.random(negative.shape) < chance)
        for mask, target in ((positive, 1.0), (drawn, 0.0)):
            inputs.append(_rows(source.cells, mask))
            targets.append(np.full(int(mask.sum()), target))
            scale = np.broadcast_to(share[:, None, None], mask.shape)[mask] if target else 1.0
            weights.append(np.full(int(mask.sum()), weight) * scale)
    scaler = StandardScaler()
    rows = scaler.fit_transform(np.concatenate(inputs))
    model = LogisticRegression(C=STRENGTH, max_iter=300)
    model.fit(rows, np.concatenate(targets), sample_weight=np.concatenate(weights))
    slope = model.coef_[0] / scaler.scale_
    own, difference = slope[:CHANNELS], slope[CHANNELS:]
    return OpacityFit(own=own + difference, other=difference, bias=float(model.intercept_[0] - slope @ scaler.mean_))


def region_means(source: Features) -> Floats:
    """Return the mean of each feature over each region, (films, 3 * 1472)."""
    weights = Regions()(torch.from_numpy(source.lungs)).numpy()
    means = [
        np.einsum("cij,rij->rc", cells.astype(np.float32), weight)
        for cells, weight in zip(source.cells, weights, strict=True)
    ]
    return np.stack(means).reshape(len(means), -1)


def cross_validate_regions(data: TrainingSet, means: Floats, label: str) -> tuple[Floats, list[RegionFit]]:
    """Return each film's logit of a distilled finding, by the fit that did not see its patient, and the fits."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    soft = np.array([film.soft.get(label, np.nan) for film in data.films])
    target = np.log(np.clip(soft, 1e-4, 1 - 1e-4) / (1 - np.clip(soft, 1e-4, 1 - 1e-4)))
    inputs = np.concatenate((means, data.features.anatomy), 1)
    scales = np.where(np.arange(inputs.shape[1]) < means.shape[1], 1.0, ANATOMY_SCALE)
    logits, fits = np.zeros(len(means)), []
    for number in range(FOLDS):
        train, own = (data.folds != number) & ~np.isnan(target), data.folds == number
        scaler = StandardScaler().fit(inputs[train])
        model = Ridge(alpha=PENALTY).fit(scaler.transform(inputs[train]) * scales, target[train])
        slope = model.coef_ * scales / scaler.scale_
        fit = RegionFit(
            weights=slope[: means.shape[1]].reshape(REGIONS, CHANNELS),
            anatomy=slope[means.shape[1] :],
            bias=float(model.intercept_ - slope @ scaler.mean_),
        )
        logits[own] = inputs[own] @ slope + fit.bias
        fits.append(fit)
    return logits, fits


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the findings to a command line."""
    parser.add_argument("--readings", type=Path, required=True, help="table of films with readings, see readings.py")
    parser.add_argument("--readings-films", type=Path, required=True, help="folder with a folder for each of its sets")
    parser.add_argument("--fair", default="nih_fair|nih_cadlab", help="sets chosen without regard to the picture")


def _is_mined_negative(film: ReadFilm) -> bool:
    return film.is_fair and film.has_no_finding and film.opacity is None


def _positive(source: Features, use: Bools) -> Bools:
    return (source.lungs > LUNG_CELL) & (source.opacity >= OPAQUE) & use[:, None, None]


def _negative(source: Features, use: Bools) -> Bools:
    return (source.lungs > LUNG_CELL) & (source.opacity < 1e-3) & use[:, None, None]


def _share_of_film(positive: Bools) -> Floats:
    """Return the weight of a positive cell of each film: films count alike, however many cells are positive."""
    per_film = positive.sum((1, 2))
    mean = per_film[per_film > 0].mean() if per_film.any() else 1.0
    share: Floats = np.minimum(mean / np.maximum(per_film, 1), LARGEST_WEIGHT)
    return share


def _rows(cells: npt.NDArray[np.float16], mask: Bools) -> npt.NDArray[np.float32]:
    """Return features of the cells of a mask, and their differences from the mirrored cells, (cells, 2944)."""
    film, row, column = np.nonzero(mask)
    own = cells[film, :, row, column].astype(np.float32)
    other = cells[film, :, row, cells.shape[3] - 1 - column].astype(np.float32)
    return np.concatenate((own, own - other), 1)


def _mean(fits: Sequence[Any]) -> dict[str, Any]:
    """Return the mean of each number over fits of the same kind."""
    return {name: np.mean([asdict(fit)[name] for fit in fits], 0) for name in asdict(fits[0])}


def _tensors(fit: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(np.asarray(value, dtype=np.float64)) for name, value in fit.items()}
