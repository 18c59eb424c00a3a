"""Refits the view head on features of the trained network, without augmentation: a logistic regression, in minutes.

During training films are augmented, and the view is an auxiliary task. Afterwards a head fitted on the same features
of plain films classifies the views better.
"""

import argparse

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32
from training import datasets, phantoms
from training.anatomy import FRAME, NOT_A_CHEST, training_films
from training.anatomynet import AnatomyNet
from training.evaluate import load
from training.metrics import Floats
from training.out_of_distribution import synthesize

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5


def run(arguments: argparse.Namespace) -> None:
    """Write weights and bias of the view head as `views.pt` into the work folder."""
    torch.set_num_threads(arguments.threads)
    network = load(arguments.work)
    synthetic = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms)
    listed = training_films(datasets.read_table(arguments.table, arguments.films, only=arguments.only), arguments.seed)
    films = np.concatenate([to_float(synthetic.films), datasets.load(listed, FRAME)])
    views = np.concatenate([synthetic.views, [phantoms.VIEWS.index(film.view) for film in listed]])
    generator = torch.Generator().manual_seed(arguments.seed)
    origin = torch.randperm(len(films), generator=generator)[: len(films) // 2].numpy()
    outliers = synthesize(torch.from_numpy(films[origin])[:, None], generator=generator)[:, 0].numpy()
    inputs = np.concatenate([features(network, films), features(network, outliers)])
    target = np.concatenate([views, np.full(len(outliers), NOT_A_CHEST)])
    weights, bias, quality = fit_views(inputs, target)
    state = {"weight": torch.from_numpy(weights).float(), "bias": torch.from_numpy(bias).float()}
    torch.save(state, arguments.work / "views.pt")
    print(f"views: {quality:.4f} accuracy in cross-validation")


def fit_views(inputs: Floats, target: "np.typing.NDArray[np.int64]") -> tuple[Floats, Floats, float]:
    """Return weights (4, 256), bias (4,) and the accuracy in cross-validation."""
    models = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=3000))
        scores = cross_val_predict(model, inputs, target, cv=FOLDS, method="predict_proba")
        models.append((log_loss(target, scores), float((scores.argmax(1) == target).mean()), model))
    _, quality, best = min(models, key=lambda one: one[:2])
    scaler, regression = (step for _, step in best.fit(inputs, target).steps)
    weights = regression.coef_ / scaler.scale_
    return weights, regression.intercept_ - weights @ scaler.mean_, quality


def features(network: AnatomyNet, films: Float32) -> Floats:
    """Return the features of films (films, 256, 256), as (films, 256)."""
    with torch.inference_mode():
        rows = [network(torch.from_numpy(film)[None, None]).features[0].numpy() for film in tqdm(films, unit="film")]
    return np.stack(rows).astype(np.float64)


def to_float(films: "np.typing.NDArray[np.uint8]") -> Float32:
    """Return 8-bit films as floats, 0.0 to 1.0."""
    values: Float32 = films.astype(np.float32) / np.float32(255)
    return values
