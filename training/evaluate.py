"""Judge the trained members on patients none of them saw, beside a reader of thumbnails."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_node.domain.radiograph import Float32, View
from cxr_node.infer.prepare import Frame
from training import datasets, figures
from training.figures import Bools, Floats
from training.lungnet import FRAME, LungNet, Sizes

THUMBNAIL = Frame(rows=24, columns=24)
"""The whole film, as small as the baseline sees it."""

STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Regularisation of the baseline, chosen on the validation patients of each member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What validation patients say of one member: its logit's scale and offset, and its operating point after them."""

    scale: float
    offset: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Test films of all members, each scored by the member that never saw its patient.

    `network` and `thumbnails` are logits; `present` is the member's own call at its own operating point.
    """

    films: tuple[datasets.LabelledFilm, ...]
    network: Floats
    thumbnails: Floats
    present: Bools


def run(arguments: argparse.Namespace) -> None:
    """Judge what was trained: write `figures.json` into the work folder and print it as a table."""
    torch.set_num_threads(arguments.threads)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    members = [number for number in range(datasets.MEMBERS) if (arguments.work / f"member-{number}.pt").exists()]
    judged, fits = judge(films, members, work=arguments.work, seed=arguments.seed)
    table = {
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "members": members,
        "fits": [asdict(fit) for fit in fits],
        "rows": [row(judged, view) for view in (None, View.PA, View.AP)],
    }
    (arguments.work / "figures.json").write_text(json.dumps(table, indent=1))
    print(as_text(table["rows"]))


def judge(
    films: tuple[datasets.LabelledFilm, ...], members: Iterable[int], *, work: Path, seed: int
) -> tuple[Judged, list[Fit]]:
    """Score every member's test films with the member and with a baseline trained on the same patients."""
    large = dict(zip(films, datasets.load(films, FRAME), strict=True))
    small = dict(zip(films, datasets.load(films, THUMBNAIL), strict=True))
    tested: list[datasets.LabelledFilm] = []
    network, thumbnails, present, fits = [], [], [], []
    for member in members:
        part = datasets.split(films, member=member, seed=seed)
        model = load_member(work / f"member-{member}.pt")
        fit = _fit(score(model, _stack(large, part.validation)), part.validation)
        logits = fit.scale * score(model, _stack(large, part.test)) + fit.offset
        tested += part.test
        fits.append(fit)
        network.append(logits)
        present.append(logits >= fit.threshold)
        thumbnails.append(_baseline(part, small))
    judged = Judged(
        films=tuple(tested),
        network=np.concatenate(network),
        thumbnails=np.concatenate(thumbnails),
        present=np.concatenate(present),
    )
    return judged, fits


def load_member(path: Path) -> LungNet:
    """Return a trained member, ready to judge."""
    network = LungNet(Sizes())
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def score(network: LungNet, prepared: Float32) -> Floats:
    """Return the finding's logit of each prepared film, shape (films,)."""
    with torch.inference_mode():
        films = torch.from_numpy(prepared)[:, None]
        logits = [network(films[first : first + 32]).logits[:, 0] for first in range(0, len(films), 32)]
        return torch.cat(logits).double().numpy()


def row(judged: Judged, view: View | None) -> dict[str, object]:
    """Return the figures of the films of one view, or of all."""
    chosen = np.array([view is None or film.view is view for film in judged.films])
    films = [film for film, taken in zip(judged.films, chosen, strict=True) if taken]
    patients = [film.patient for film in films]
    shown = np.array([film.opacity for film in films])
    network, thumbnails, present = judged.network[chosen], judged.thumbnails[chosen], judged.present[chosen]

    def gain(drawn: "np.typing.NDArray[np.intp]") -> float:
        return figures.auc(shown[drawn], network[drawn]) - figures.auc(shown[drawn], thumbnails[drawn])

    return {
        "view": view or "all",
        "films": len(films),
        "patients": len(set(patients)),
        "with_finding": int(shown.sum()),
        "network": _interval(lambda drawn: figures.auc(shown[drawn], network[drawn]), patients),
        "thumbnails": _interval(lambda drawn: figures.auc(shown[drawn], thumbnails[drawn]), patients),
        "gain": _interval(gain, patients),
        "sensitivity": _interval(lambda drawn: _share(present[drawn], shown[drawn]), patients),
        "specificity": _interval(lambda drawn: _share(~present[drawn], ~shown[drawn]), patients),
    }


def as_text(rows: object) -> str:
    """Return the figures as a Markdown table."""
    names = ("network", "thumbnails", "gain", "sensitivity", "specificity")
    lines = ["| view | films (with finding) | AUC " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for line in rows if isinstance(rows, list) else []:
        values = [f"{line[name]['value']:.3f} ({line[name]['low']:.3f} to {line[name]['high']:.3f})" for name in names]
        lines.append(f"| {line['view']} | {line['films']} ({line['with_finding']}) | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _interval(statistic: "figures.Statistic", patients: list[str]) -> dict[str, float]:
    return asdict(figures.with_interval(statistic, patients))


def _share(called: Bools, among: Bools) -> float:
    """Return the share of the films in `among` that were called so."""
    return float(called[among].mean()) if among.any() else float("nan")


def _fit(logits: Floats, films: tuple[datasets.LabelledFilm, ...]) -> Fit:
    """Fit scale, offset and operating point on validation films, each view weighing both kinds the same."""
    shown, weights = datasets.opacity(films) > 0, datasets.balance(films)
    scale, offset = figures.platt(logits, shown, weights)
    return Fit(scale=scale, offset=offset, threshold=figures.threshold(scale * logits + offset, shown, weights))


def _baseline(part: datasets.Split, small: dict[datasets.LabelledFilm, Float32]) -> Floats:
    """Return logits of the test films by logistic regression on thumbnails of the training films."""
    inputs = {name: _stack(small, films).reshape(len(films), -1) for name, films in _parts(part)}
    validated = datasets.opacity(part.validation) > 0
    fitted = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        weights = datasets.balance(part.train)
        model.fit(inputs["train"], datasets.opacity(part.train), logisticregression__sample_weight=weights)
        quality = figures.auc(validated, model.decision_function(inputs["validation"]))
        fitted.append((quality, strength, model))
    best = max(fitted, key=lambda one: one[:2])[2]
    return np.asarray(best.decision_function(inputs["test"]), dtype=np.float64)


def _parts(part: datasets.Split) -> tuple[tuple[str, tuple[datasets.LabelledFilm, ...]], ...]:
    return ("train", part.train), ("validation", part.validation), ("test", part.test)


def _stack(prepared: dict[datasets.LabelledFilm, Float32], films: tuple[datasets.LabelledFilm, ...]) -> Float32:
    return np.stack([prepared[film] for film in films])
