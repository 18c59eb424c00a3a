"""Views fitted anew on what the trained network makes of films as they are, not varied: a regression, in minutes.

While anatomy is learned, films are bent, exposed and covered, and the view is taught beside it; afterwards the same
features tell the views apart better with weights of their own.
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
from training.anatomy import OTHER, WHOLE, learned_from
from training.anatomynet import AnatomyNet
from training.evaluate import load
from training.metrics import Floats
from training.out_of_distribution import strangers

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5


def run(arguments: argparse.Namespace) -> None:
    """Write the views' weights and bias as `views.pt` into the work folder."""
    torch.set_num_threads(arguments.threads)
    network = load(arguments.work)
    made = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms)
    listed = learned_from(datasets.read_table(arguments.table, arguments.films, only=arguments.only), arguments.seed)
    films = np.concatenate([gray(made.films), datasets.load(listed, WHOLE)])
    views = np.concatenate([made.views, [phantoms.VIEWS.index(film.view) for film in listed]])
    generator = torch.Generator().manual_seed(arguments.seed)
    origin = torch.randperm(len(films), generator=generator)[: len(films) // 2].numpy()
    other = strangers(torch.from_numpy(films[origin])[:, None], generator=generator)[:, 0].numpy()
    known = np.concatenate([features(network, films), features(network, other)])
    wanted = np.concatenate([views, np.full(len(other), OTHER)])
    weights, bias, quality = fitted(known, wanted)
    state = {"weight": torch.from_numpy(weights).float(), "bias": torch.from_numpy(bias).float()}
    torch.save(state, arguments.work / "views.pt")
    print(f"views: {quality:.4f} of the pictures told right by fits that did not see them")


def fitted(known: Floats, wanted: "np.typing.NDArray[np.int64]") -> tuple[Floats, Floats, float]:
    """Return weights (4, 256), bias (4,) and the share of pictures told right by fits that did not see them."""
    models = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=3000))
        said = cross_val_predict(model, known, wanted, cv=FOLDS, method="predict_proba")
        models.append((log_loss(wanted, said), float((said.argmax(1) == wanted).mean()), model))
    _, quality, best = min(models, key=lambda one: one[:2])
    scaler, regression = (step for _, step in best.fit(known, wanted).steps)
    weights = regression.coef_ / scaler.scale_
    return weights, regression.intercept_ - weights @ scaler.mean_, quality


def features(network: AnatomyNet, films: Float32) -> Floats:
    """Return the features of films (films, 256, 256), as (films, 256)."""
    with torch.inference_mode():
        rows = [network(torch.from_numpy(film)[None, None]).features[0].numpy() for film in tqdm(films, unit="film")]
    return np.stack(rows).astype(np.float64)


def gray(films: "np.typing.NDArray[np.uint8]") -> Float32:
    """Return films of 8 bit as 0.0 to 1.0."""
    shares: Float32 = films.astype(np.float32) / np.float32(255)
    return shares
