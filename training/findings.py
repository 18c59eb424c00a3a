"""Findings: of two opinions, each a sum over cells, so that the map is the explanation, cell by cell.

One is a weighted sum of what the anatomy's network knows of each cell, meant over the lungs and over their bases: a few
hundred weights are fitted. The other is that of a network that sees the lungs alone.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, View
from cxr_node.infer.prepare import Frame
from training import datasets, figures
from training.anatomy import WHOLE
from training.anatomynet import AnatomyNet, Outputs
from training.datasets import FINDINGS, LabelledFilm
from training.figures import Bools, Floats
from training.judge import load
from training.lungnet import DOMES, LUNGS, LungNet
from training.lungnet import Sizes as LungSizes
from training.phantoms import STRUCTURES
from training.train import lungs_of

THUMBNAIL = Frame(rows=24, columns=24)
"""The whole film, as small as the baseline sees it."""

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
THUMBNAIL_STRENGTHS = (1e-3, 1e-2, 1e-1)
PARTS = 2

LEAST = 0.65
"""A finding whose AUC has a lower bound under this is not offered."""

BINS = 10
"""Groups of films of like scores, for the calibration error."""


class Parts(nn.Module):
    """Where a finding is looked for: the lungs with their rims, and their bases down into what hides them."""

    def forward(self, planes: Tensor) -> Tensor:
        """Logits (B, planes, 128, 128) -> shares that sum to 1 over the film, (B, 2, 32, 32)."""
        scores = functional.avg_pool2d(torch.sigmoid(planes), 4)  # (B, planes, 32, 32)
        lungs = scores[:, LUNGS].amax(1, keepdim=True)  # (B, 1, 32, 32)
        domes = scores[:, DOMES].amax(1, keepdim=True)
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

    def forward(self, outputs: Outputs) -> Tensor:
        """Return what each cell adds to the logits, (B, findings, 32, 32)."""
        cells, parts = known(outputs), self.parts(outputs.planes)
        sums = self.sums(cells).view(cells.shape[0], -1, PARTS, *cells.shape[2:])  # (B, findings, 2, 32, 32)
        added: Tensor = (sums * parts[:, None]).sum(2)
        return added


def known(outputs: Outputs) -> Tensor:
    """Return all that is known of each cell, (B, 164, 32, 32)."""
    lesions = functional.avg_pool2d(outputs.planes[:, len(STRUCTURES) :], 4)
    return torch.cat((outputs.seen, lesions), 1)


def pooled(network: AnatomyNet, films: Float32) -> Floats:
    """Return the means that the heads weigh, (films, 2 x 164)."""
    parts, rows = Parts(), []
    with torch.inference_mode():
        for film in tqdm(films, desc="known", unit="film"):
            outputs = network(torch.from_numpy(film)[None, None])
            cells, where = known(outputs), parts(outputs.planes)
            rows.append(torch.einsum("bchw,bphw->bpc", cells, where).flatten().numpy())
    return np.stack(rows).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What findings are learned from: known (films, 2 x 164), thumbnails (films, 576), lungs (members, films, 2)."""

    known: Floats
    thumbnails: Floats
    lungs: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinions:
    """What is said of every film, each (films,): by the member that never saw its patient.

    `first` and `second` are a member's two opinions, `logits` their mean, calibrated on the films of the other members;
    `present` is called at an operating point chosen on these.
    """

    first: Floats
    second: Floats
    logits: Floats
    thumbnails: Floats
    present: Bools


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """How members are joined: what one says is heads @ known + bias + lungs * its LungNet's logit.

    Shapes: heads (members, 2 x 164), bias and lungs (members,). The mean over members, times `scale`, plus `offset`, is
    the finding's logit, and `threshold` its operating point.
    """

    heads: Floats
    bias: Floats
    lungs: Floats
    scale: float
    offset: float
    threshold: float


def run(arguments: argparse.Namespace) -> None:
    """Fit the findings: write `findings.pt` and `findings.json` into the work folder and print the figures."""
    torch.set_num_threads(arguments.threads)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    prepared = datasets.load(films, WHOLE)
    network = load(arguments.work)
    seen = Seen(
        known=pooled(network, prepared),
        thumbnails=datasets.load(films, THUMBNAIL).reshape(len(films), -1).astype(np.float64),
        lungs=lung_logits(arguments.work, prepared, lungs_of(network, prepared)),
    )
    rows: list[dict[str, object]] = []
    told_of, fits = [], {}
    for number, name in enumerate(FINDINGS):
        shown = np.array([bool(film.labels & FINDINGS[name]) for film in films])
        opinions, fit = learn(films, shown, seen, number, seed=arguments.seed)
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


def lung_logits(work: Path, films: Float32, lungs: Tensor) -> Floats:
    """Return what each member's LungNet says of each film, (members, films, findings)."""
    said = []
    with torch.inference_mode():
        for member in range(datasets.MEMBERS):
            network = load_member(work / f"member-{member}.pt")
            logits = [
                network(torch.from_numpy(film)[None, None], field[None, None].float() / 255).logits[0]
                for film, field in zip(tqdm(films, desc=f"member {member}"), lungs, strict=True)
            ]
            said.append(torch.stack(logits).double().numpy())
    return np.stack(said)


def load_member(path: Path) -> LungNet:
    """Return a trained member, ready to judge."""
    network = LungNet(LungSizes())
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def learn(films: tuple[LabelledFilm, ...], shown: Bools, seen: Seen, number: int, *, seed: int) -> tuple[Opinions, Fit]:
    """Fit one finding five times, each time without the patients of a fifth, and judge each on its fifth.

    A member's two opinions are each brought to one scale on its validation patients, and meant.
    """
    weights = datasets.balance(films, shown)
    member_of = np.zeros(len(films), np.int64)
    first, second, small = np.zeros(len(films)), np.zeros(len(films)), np.zeros(len(films))
    heads, bias, lungs = [], [], []
    place = {film: at for at, film in enumerate(films)}
    for member in range(datasets.MEMBERS):
        part = datasets.split(films, member=member, seed=seed)
        train, validation, test = ([place[film] for film in some] for some in (part.train, part.validation, part.test))
        member_of[test] = member
        linear = _fitted(seen.known, shown, weights, (train, validation), STRENGTHS)
        said = seen.known @ linear[:-1] + linear[-1], seen.lungs[member, :, number]
        one, two = (figures.platt(each[validation], shown[validation], weights[validation]) for each in said)
        heads.append(one[0] * linear[:-1] / 2)
        bias.append((one[0] * linear[-1] + one[1] + two[1]) / 2)
        lungs.append(two[0] / 2)
        first[test], second[test] = one[0] * said[0][test] + one[1], two[0] * said[1][test] + two[1]
        baseline = _fitted(seen.thumbnails, shown, weights, (train, validation), THUMBNAIL_STRENGTHS)
        tiny = seen.thumbnails @ baseline[:-1] + baseline[-1]
        scale, offset = figures.platt(tiny[validation], shown[validation], weights[validation])
        small[test] = scale * tiny[test] + offset
    raw = (first + second) / 2
    logits, present = _called(raw, shown, weights, member_of)
    scale, offset = figures.platt(raw, shown, np.ones(len(films)))
    fit = Fit(
        heads=np.stack(heads),
        bias=np.array(bias),
        lungs=np.array(lungs),
        scale=scale,
        offset=offset,
        threshold=figures.threshold(scale * raw + offset, shown, weights),
    )
    return Opinions(first=first, second=second, logits=logits, thumbnails=small, present=present), fit


def _called(
    raw: Floats, shown: Bools, weights: Floats, member_of: "np.typing.NDArray[np.int64]"
) -> tuple[Floats, Bools]:
    """Return calibrated logits, and what is called present: by what the films of the other members say."""
    logits, present = np.zeros(len(raw)), np.zeros(len(raw), np.bool_)
    for member in range(datasets.MEMBERS):
        others, own = member_of != member, member_of == member
        scale, offset = figures.platt(raw[others], shown[others], np.ones(int(others.sum())))
        logits[own] = scale * raw[own] + offset
        present[own] = logits[own] >= figures.threshold(scale * raw[others] + offset, shown[others], weights[others])
    return logits, present


def _fitted(
    inputs: Floats, shown: Bools, weights: Floats, parts: tuple[list[int], list[int]], strengths: tuple[float, ...]
) -> Floats:
    """Return weights and bias of the logistic regression whose strength does best on the validation patients."""
    train, validation = parts
    fitted = []
    for strength in strengths:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        model.fit(inputs[train], shown[train], logisticregression__sample_weight=weights[train])
        quality = figures.auc(shown[validation], model.decision_function(inputs[validation]))
        fitted.append((quality, strength, model))
    scaler, regression = (step for _, step in max(fitted, key=lambda one: one[:2])[2].steps)
    slope = regression.coef_[0] / scaler.scale_
    return np.append(slope, regression.intercept_[0] - slope @ scaler.mean_)


def row(
    name: str, films: tuple[LabelledFilm, ...], shown: Bools, opinions: Opinions, view: View | None
) -> dict[str, object]:
    """Return the figures of one finding on the films of one view, or on all."""
    chosen = np.array([view is None or film.view is view for film in films])
    patients = [film.patient for film, taken in zip(films, chosen, strict=True) if taken]
    shown, present = shown[chosen], opinions.present[chosen]
    logits, small = opinions.logits[chosen], opinions.thumbnails[chosen]
    first, second = opinions.first[chosen], opinions.second[chosen]
    scores = 1 / (1 + np.exp(-logits))

    def interval(statistic: figures.Statistic) -> dict[str, float]:
        return asdict(figures.with_interval(statistic, patients))

    return {
        "finding": name,
        "view": view or "all",
        "films": int(chosen.sum()),
        "patients": len(set(patients)),
        "with_finding": int(shown.sum()),
        "AUC": interval(lambda n: figures.auc(shown[n], logits[n])),
        "thumbnails": interval(lambda n: figures.auc(shown[n], small[n])),
        "gain": interval(lambda n: figures.auc(shown[n], logits[n]) - figures.auc(shown[n], small[n])),
        "anatomy alone": interval(lambda n: figures.auc(shown[n], first[n])),
        "lungs alone": interval(lambda n: figures.auc(shown[n], second[n])),
        "sensitivity": interval(lambda n: _share(present[n], shown[n])),
        "specificity": interval(lambda n: _share(~present[n], ~shown[n])),
        "ECE": interval(lambda n: calibration_error(scores[n], shown[n])),
    }


def calibration_error(scores: Floats, shown: Bools) -> float:
    """Return the expected calibration error over ten groups of as many films each (Naeini et al., AAAI 2015)."""
    groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
    return float(sum(len(g) * abs(scores[g].mean() - shown[g].mean()) for g in groups if len(g)) / len(scores))


def told(name: str, films: tuple[LabelledFilm, ...], shown: Bools, opinions: Opinions, fit: Fit) -> dict[str, object]:
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
