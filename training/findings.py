"""Findings learned from what the anatomy's network knows of each cell: one weighted sum per finding.

A finding's logit is the mean, over the lungs and over their bases, of a weighted sum of what is known of each cell. So
the map is the explanation, cell by cell, and a few hundred weights are fitted instead of a network.
"""

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, View
from training import datasets, figures
from training.anatomy import WHOLE
from training.anatomynet import AnatomyNet, Outputs
from training.datasets import LabelledFilm
from training.evaluate import THUMBNAIL
from training.figures import Bools, Floats
from training.judge import load
from training.phantoms import STRUCTURES

LUNGS = (STRUCTURES.index("right_lung"), STRUCTURES.index("left_lung"))
DOMES = (STRUCTURES.index("right_hemidiaphragm"), STRUCTURES.index("left_hemidiaphragm"))
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
PARTS = 2
THUMBNAIL_STRENGTHS = (1e-3, 1e-2, 1e-1)

FINDINGS = {
    "lung_opacity": frozenset({"Pneumonia", "Infiltration", "Consolidation", "Edema"}),
    "pleural_effusion": frozenset({"Effusion"}),
}
"""What is learned, and the mined labels that say so. A film without any of them counts as without the finding."""

LEAST = 0.65
"""A finding whose AUC has a lower bound under this is not offered."""

BINS = 10
"""Groups of films of like scores, for the calibration error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """A finding: its weights (2 x 164,) and bias, and what each member said of the films it never saw.

    `logits`, `thumbnails` (films,) are out of fold and calibrated on the other members' films, `present` is called at
    the operating point chosen on the other members' films; `threshold` is chosen on all.
    """

    name: str
    weights: Floats
    bias: float
    threshold: float
    shown: Bools
    logits: Floats
    thumbnails: Floats
    present: Bools


def run(arguments: argparse.Namespace) -> None:
    """Fit the findings: write `findings.pt` and `findings.json` into the work folder and print the figures."""
    torch.set_num_threads(arguments.threads)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    features = pooled(load(arguments.work / "anatomy.pt"), datasets.load(films, WHOLE))
    thumbnails = datasets.load(films, THUMBNAIL).reshape(len(films), -1).astype(np.float64)
    learned = [learn(name, films, features, thumbnails, seed=arguments.seed) for name in FINDINGS]
    rows = [row(one, films, view) for one in learned for view in (None, View.PA, View.AP)]
    table = {
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "findings": [told(one, films) for one in learned],
        "rows": rows,
    }
    (arguments.work / "findings.json").write_text(json.dumps(table, indent=1))
    weights = {one.name: torch.from_numpy(np.append(one.weights, one.bias)) for one in learned}
    torch.save(weights, arguments.work / "findings.pt")
    print(as_text(rows))


def learn(name: str, films: tuple[LabelledFilm, ...], features: Floats, thumbnails: Floats, *, seed: int) -> Learned:
    """Fit one finding five times, each time without the patients of a fifth, and judge each on its fifth.

    What is kept is the mean of the five: a mean of weighted sums is a weighted sum.
    """
    shown = np.array([bool(film.labels & FINDINGS[name]) for film in films])
    weights = balance(films, shown)
    member_of = np.full(len(films), -1)
    raw, small = np.zeros(len(films)), np.zeros(len(films))
    kept = []
    place = {film: number for number, film in enumerate(films)}
    for member in range(datasets.MEMBERS):
        part = datasets.split(films, member=member, seed=seed)
        train, validation, test = ([place[film] for film in some] for some in (part.train, part.validation, part.test))
        member_of[test] = member
        best = _fitted(features, shown, weights, train, validation, STRENGTHS)
        kept.append(best)
        raw[test] = features[test] @ best[:-1] + best[-1]
        baseline = _fitted(thumbnails, shown, weights, train, validation, THUMBNAIL_STRENGTHS)
        small[test] = thumbnails[test] @ baseline[:-1] + baseline[-1]
    logits, present = np.zeros(len(films)), np.zeros(len(films), np.bool_)
    even = np.ones(len(films))
    for member in range(datasets.MEMBERS):
        others, own = member_of != member, member_of == member
        scale, offset = figures.platt(raw[others], shown[others], even[others])
        logits[own] = scale * raw[own] + offset
        point = figures.threshold(scale * raw[others] + offset, shown[others], weights[others])
        present[own] = logits[own] >= point
    scale, offset = figures.platt(raw, shown, even)
    mean = np.mean(kept, axis=0)
    return Learned(
        name=name,
        weights=scale * mean[:-1],
        bias=float(scale * mean[-1] + offset),
        threshold=figures.threshold(scale * raw + offset, shown, weights),
        shown=shown,
        logits=logits,
        thumbnails=small,
        present=present,
    )


def balance(films: tuple[LabelledFilm, ...], shown: Bools) -> Floats:
    """Return a weight per film so that, in each view, films with and without the finding weigh the same; mean 1."""
    weights = np.zeros(len(films))
    for view in (View.PA, View.AP):
        of_view = np.array([film.view is view for film in films])
        for kind in (shown, ~shown):
            group = of_view & kind
            weights[group] = of_view.sum() / (2 * max(int(group.sum()), 1))
    return weights


def _fitted(
    inputs: Floats, shown: Bools, weights: Floats, train: list[int], validation: list[int], strengths: tuple[float, ...]
) -> Floats:
    """Return weights and bias of the logistic regression whose strength does best on the validation patients."""
    fitted = []
    for strength in strengths:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        model.fit(inputs[train], shown[train], logisticregression__sample_weight=weights[train])
        quality = figures.auc(shown[validation], model.decision_function(inputs[validation]))
        fitted.append((quality, strength, model))
    scaler, regression = (step for _, step in max(fitted, key=lambda one: one[:2])[2].steps)
    slope = regression.coef_[0] / scaler.scale_
    return np.append(slope, regression.intercept_[0] - slope @ scaler.mean_)


def row(one: Learned, films: tuple[LabelledFilm, ...], view: View | None) -> dict[str, object]:
    """Return the figures of one finding on the films of one view, or on all."""
    chosen = np.array([view is None or film.view is view for film in films])
    patients = [film.patient for film, taken in zip(films, chosen, strict=True) if taken]
    shown, logits, small, present = (part[chosen] for part in (one.shown, one.logits, one.thumbnails, one.present))
    scores = 1 / (1 + np.exp(-logits))

    def interval(statistic: figures.Statistic) -> dict[str, float]:
        return asdict(figures.with_interval(statistic, patients))

    return {
        "finding": one.name,
        "view": view or "all",
        "films": int(chosen.sum()),
        "patients": len(set(patients)),
        "with_finding": int(shown.sum()),
        "AUC": interval(lambda n: figures.auc(shown[n], logits[n])),
        "thumbnails": interval(lambda n: figures.auc(shown[n], small[n])),
        "gain": interval(lambda n: figures.auc(shown[n], logits[n]) - figures.auc(shown[n], small[n])),
        "sensitivity": interval(lambda n: _share(present[n], shown[n])),
        "specificity": interval(lambda n: _share(~present[n], ~shown[n])),
        "ECE": interval(lambda n: calibration_error(scores[n], shown[n])),
    }


def calibration_error(scores: Floats, shown: Bools) -> float:
    """Return the expected calibration error over ten groups of as many films each (Naeini et al., AAAI 2015)."""
    groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(len(g) * abs(scores[g].mean() - shown[g].mean()) for g in groups if len(g)) / len(scores))


def told(one: Learned, films: tuple[LabelledFilm, ...]) -> dict[str, object]:
    """Return what a report needs of a finding: its operating point, and score and truth of each film."""
    return {
        "name": one.name,
        "threshold": one.threshold,
        "prevalence": float(one.shown.mean()),
        "films": [film.path.name for film in films],
        "views": [film.view for film in films],
        "shown": one.shown.tolist(),
        "logits": [round(float(logit), 4) for logit in one.logits],
    }


def as_text(rows: list[dict[str, object]]) -> str:
    """Return the figures as a Markdown table."""
    names = ("AUC", "thumbnails", "gain", "sensitivity", "specificity", "ECE")
    lines = ["| finding | view | films (with finding) | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for line in rows:
        cells = [_cell(line[name]) for name in names]
        start = f"| {line['finding']} | {line['view']} | {line['films']} ({line['with_finding']}) | "
        lines.append(start + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: object) -> str:
    """Return a figure with its interval."""
    known_as: dict[str, float] = figure if isinstance(figure, dict) else {}
    return f"{known_as['value']:.3f} ({known_as['low']:.3f} to {known_as['high']:.3f})"


def _share(called: Bools, among: Bools) -> float:
    return float(called[among].mean()) if among.any() else float("nan")


class Parts(nn.Module):
    """Where a finding is looked for: the lungs with their rims, and their bases down into what hides them."""

    def forward(self, planes: Tensor) -> Tensor:
        """Logits (B, planes, 128, 128) -> shares that sum to 1 over the film, (B, 2, 32, 32)."""
        scores = functional.avg_pool2d(torch.sigmoid(planes), 4)  # (B, planes, 32, 32)
        lungs = scores[:, LUNGS[0] : LUNGS[1] + 1].amax(1, keepdim=True)  # (B, 1, 32, 32)
        domes = scores[:, DOMES[0] : DOMES[1] + 1].amax(1, keepdim=True)
        wide = functional.max_pool2d(lungs, 3, 1, 1)
        base = functional.max_pool2d(lungs, 7, 1, 3) * functional.max_pool2d(domes, 7, 1, 3)
        parts = torch.cat((wide, base), 1) + 1e-4
        return parts / parts.sum((2, 3), keepdim=True)


class Heads(nn.Module):
    """One weighted sum for each finding and part, on what is known and on the lesions' logits."""

    def __init__(self, findings: int, channels: int) -> None:
        super().__init__()
        self.parts = Parts()
        self.sums = nn.Conv2d(channels, findings * PARTS, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(findings))

    def forward(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Return logits (B, findings) and maps (B, findings, 32, 32), whose mean over the film is the logit."""
        cells, parts = known(outputs), self.parts(outputs.planes)
        sums = self.sums(cells).view(cells.shape[0], -1, PARTS, *cells.shape[2:])  # (B, findings, 2, 32, 32)
        maps = (sums * parts[:, None]).sum(2)
        logits = maps.sum((2, 3)) + self.bias
        return logits, maps * (cells.shape[2] * cells.shape[3])


def known(outputs: Outputs) -> Tensor:
    """Return all that is known of each cell, (B, 164, 32, 32)."""
    lesions = functional.avg_pool2d(outputs.planes[:, len(STRUCTURES) :], 4)
    return torch.cat((outputs.seen, lesions), 1)


def pooled(network: AnatomyNet, films: Float32) -> Floats:
    """Return the means that a finding's logit is a weighted sum of, (films, 2 x 164)."""
    parts, rows = Parts(), []
    with torch.inference_mode():
        for film in tqdm(films, desc="features", unit="film"):
            outputs = network(torch.from_numpy(film)[None, None])
            cells, where = known(outputs), parts(outputs.planes)
            rows.append(torch.einsum("bchw,bphw->bpc", cells, where).flatten().numpy())
    return np.stack(rows).astype(np.float64)
