"""Exports the bundle `chest`: anatomy, views, distance and findings as one graph, with its card."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Float32
from cxr_node.infer import bundle, prepare
from cxr_node.infer.export import export_network
from cxr_node.infer.findings import sigmoid
from training import datasets, evaluate, phantoms
from training.anatomy import FRAME
from training.anatomynet import AnatomyNet
from training.features import Heads, two_passes
from training.findings import MIN_AUC
from training.metrics import Floats
from training.out_of_distribution import synthesize
from training.phantoms import STRUCTURES
from training.thorax import CONTEXT, PARTS
from training.views import features, to_float

NAME = "chest"
VERSION = "1.1.0"
NETWORK = "network.pt2"
UNDETERMINED_BAND = 0.25
"""Half width of the undetermined band around the operating point, in logits; the card states it as scores."""

REFERENCE_FILMS = 600
"""Number of films in each of the two reference sets of the distance."""
LIMIT_QUANTILE = 0.995
MARGIN = 1.25
"""The limit is this factor times the 99.5th percentile of the distances of films outside the reference sets."""


class MahalanobisDistance(nn.Module):
    """Mahalanobis distance to the nearer of two reference sets, phantoms and films (Lee et al., NeurIPS 2018)."""

    def __init__(self, reference_sets: Sequence[Floats]) -> None:
        super().__init__()
        fits = [LedoitWolf().fit(reference_set) for reference_set in reference_sets]
        roots = [np.linalg.cholesky(fit.precision_) / np.sqrt(reference_sets[0].shape[1]) for fit in fits]
        self.means: Tensor
        self.roots: Tensor
        self.register_buffer("means", torch.from_numpy(np.stack([fit.location_ for fit in fits])).float())
        self.register_buffer("roots", torch.from_numpy(np.stack(roots)).float())

    def forward(self, features: Tensor) -> Tensor:
        """(B, 256) -> (B, 1), about 1 for films of a reference set."""
        offsets = features[None] - self.means[:, None]  # (2, B, 256)
        whitened = torch.matmul(offsets, self.roots)  # (2, B, 256)
        return whitened.square().sum(2).amin(0).sqrt()[:, None]


class Chest(nn.Module):
    """Whole graph: findings with their maps, structures, view, and distance from the reference sets."""

    def __init__(self, anatomy: AnatomyNet, heads: Heads, bias: Tensor) -> None:
        super().__init__()
        self.anatomy, self.heads = anatomy, heads
        self.bias = nn.Parameter(bias)
        self.distance: nn.Module = nn.Identity()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 256, 256) -> the outputs on the card."""
        whole, thorax = two_passes(self.anatomy, film)
        contributions = self.heads(whole.planes, thorax)  # (B, findings, 32, 32)
        return {
            "finding_logits": contributions.sum((2, 3)) + self.bias,
            "finding_maps": contributions * (contributions.shape[2] * contributions.shape[3]),
            "structure_logits": whole.planes[:, : len(STRUCTURES)],
            "view_logits": whole.views,
            "distance": self.distance(whole.features),
        }


def run(arguments: argparse.Namespace) -> None:
    """Write the bundle from the results of the other steps in the work folder, and open it as a node does."""
    torch.set_num_threads(arguments.threads)
    network = evaluate.load(arguments.work)
    table = json.loads((arguments.work / "findings.json").read_text())
    offered = [one for one in table["findings"] if _is_good_enough(one["name"], table["rows"])]
    fits = torch.load(arguments.work / "findings.pt", weights_only=True)
    chest = assemble(network, [fits[one["name"]] for one in offered])
    distance, limit, summary = fit_distance(network, arguments)
    (arguments.work / "distance.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))
    chest.distance = distance
    content = export_network(chest.eval(), FRAME)
    anatomy = json.loads((arguments.work / "anatomy.json").read_text())
    arguments.bundle.mkdir(parents=True, exist_ok=True)
    (arguments.bundle / NETWORK).write_bytes(content)
    text = card(table, offered, anatomy, limit=limit, digest=digest_of(content), arguments=arguments)
    (arguments.bundle / bundle.CARD).write_text(text, encoding="utf-8")
    opened = bundle.load(arguments.bundle)
    print(f"{arguments.bundle}: {len(content):,} bytes, network {opened.identity.weights_digest}")


def assemble(anatomy: AnatomyNet, fits: list[dict[str, Tensor]]) -> Chest:
    """Return the whole graph; its heads are the mean over folds, on the fitted scale.

    Parameters
    ----------
    fits
        `findings.Fit` of each exported finding.
    """
    heads, bias = Heads(len(fits), fits[0]["heads"].shape[2] - CONTEXT), torch.zeros(len(fits))
    with torch.no_grad():
        for number, fit in enumerate(fits):
            weights = (fit["heads"].mean(0) * fit["scale"]).float()  # (8, 184)
            heads.sums.weight[number * PARTS : (number + 1) * PARTS, :, 0, 0] = weights
            bias[number] = fit["bias"].mean() * fit["scale"] + fit["offset"]
    return Chest(anatomy, heads, bias)


def fit_distance(
    network: AnatomyNet, arguments: argparse.Namespace
) -> tuple[MahalanobisDistance, float, dict[str, dict[str, float]]]:
    """Return the distance, its limit, and the share of each kind of films beyond it."""
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    part = datasets.split(films, fold=0, seed=arguments.seed)
    synthetic = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms).films
    tested = phantoms.load(arguments.work / "phantoms", "test", count=arguments.test_phantoms).films
    real = datasets.load(part.train, FRAME)
    distance = MahalanobisDistance(
        [features(network, to_float(synthetic[:REFERENCE_FILMS])), features(network, real[:REFERENCE_FILMS])]
    )
    held_out = np.concatenate(
        [to_float(synthetic[REFERENCE_FILMS : REFERENCE_FILMS + 200]), datasets.load(part.validation, FRAME)]
    )
    limit = round(float(np.quantile(distances(distance, network, held_out), LIMIT_QUANTILE)) * MARGIN, 2)
    test = datasets.load(part.test, FRAME)
    generator = torch.Generator().manual_seed(arguments.seed)
    outliers = synthesize(torch.from_numpy(test)[:, None], generator=generator)[:, 0].numpy()
    summary = {}
    for name, some in (("films", test), ("phantoms", to_float(tested)), ("out of distribution", outliers)):
        far = distances(distance, network, some)
        summary[name] = {"films": len(far), "beyond": float((far > limit).mean()), "median": float(np.median(far))}
    return distance, limit, summary


def distances(distance: MahalanobisDistance, network: AnatomyNet, films: Float32) -> Floats:
    """Return the distance of each film, (films,)."""
    with torch.inference_mode():
        far: Floats = distance(torch.from_numpy(features(network, films)).float())[:, 0].numpy().astype(np.float64)
    return far


def card(
    table: dict[str, Any],
    offered: list[dict[str, Any]],
    anatomy: dict[str, Any],
    *,
    limit: float,
    digest: str,
    arguments: argparse.Namespace,
) -> str:
    """Return the text of the card: the template, filled with the metrics of the other steps."""
    values = {
        "digest": digest,
        "rows": FRAME.rows,
        "columns": FRAME.columns,
        "recipe": prepare.RECIPE,
        "description": prepare.DESCRIPTION,
        "name": NAME,
        "version": VERSION,
        "limit": limit,
        "films": table["films"],
        "patients": table["patients"],
        "phantoms": arguments.phantoms,
        "lungs": round(anatomy["dice"]["lungs"]["value"], 3),
        "heart": round(anatomy["dice"]["heart"]["value"], 3),
        "clavicles": round(anatomy["dice"]["clavicles"]["value"], 3),
        "labels": "\n".join(LABELS[one["name"]] for one in offered),
        "points": "\n".join(_point(one) for one in offered),
        "structures": "\n".join(f'[[structures]]\nkey = "{name}"\n' for name in STRUCTURES),
    }
    template = Path(__file__).with_name("chest.card.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        template = template.replace(f"<{key}>", str(value))
    names = {one["name"] for one in offered}
    return template + "".join(_metrics(line) for line in table["rows"] if line["finding"] in names)


LABELS = {
    "lung_opacity": """[[labels]]
key = "lung_opacity"
code = { value = "112001", scheme_designator = "DCM", meaning = "Opacity" }
site = { value = "39607008", scheme_designator = "SCT", meaning = "Lung" }
""",
    "pleural_effusion": """[[labels]]
key = "pleural_effusion"
code = { value = "60046008", scheme_designator = "SCT", meaning = "Pleural effusion" }
site = { value = "3120008", scheme_designator = "SCT", meaning = "Pleural structure" }
""",
}


def _is_good_enough(name: str, rows: list[dict[str, Any]]) -> bool:
    """Whether the lower bound of a finding's AUC on all films reaches `MIN_AUC`."""
    return any(line["finding"] == name and line["view"] == "all" and line["AUC"]["low"] >= MIN_AUC for line in rows)


def _point(one: dict[str, Any]) -> str:
    logit = one["threshold"]
    lines = [
        "[[operating_points.points]]",
        f'label = "{one["name"]}"',
        f"score = {sigmoid(logit):.4f}",
        f"undetermined_from = {sigmoid(logit - UNDETERMINED_BAND):.4f}",
        f"undetermined_to = {sigmoid(logit + UNDETERMINED_BAND):.4f}",
    ]
    return "\n".join(lines) + "\n"


def _metrics(line: dict[str, Any]) -> str:
    """Return one row of metrics as entries of the card."""
    return "".join(_metric(line, metric) for metric in ("AUC", "sensitivity", "specificity", "ECE"))


def _metric(line: dict[str, Any], metric: str) -> str:
    estimate = {name: round(value, 3) for name, value in line[metric].items()}
    lines = [
        "\n[[evidence.metrics]]",
        f'label = "{line["finding"]}"',
        f'metric = "{metric}"',
        f'view = "{line["view"]}"',
        *(f"{name} = {value}" for name, value in estimate.items()),
        f"films = {line['films']}",
        f"with_finding = {line['with_finding']}",
    ]
    if metric == "AUC":
        lines.append(f"baseline = {round(line['thumbnails']['value'], 3)}")
    return "\n".join(lines) + "\n"
