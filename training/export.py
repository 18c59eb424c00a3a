"""Join anatomy, views, distance and findings into one graph and write it, with its card, as the bundle `chest`."""

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
from training.anatomy import WHOLE
from training.anatomynet import AnatomyNet
from training.features import Heads, looks
from training.findings import LEAST
from training.metrics import Floats
from training.out_of_distribution import strangers
from training.phantoms import STRUCTURES
from training.thorax import PARTS, SURROUNDINGS
from training.views import features, gray

NAME = "chest"
VERSION = "1.1.0"
NETWORK = "network.pt2"
BAND = 0.25
"""Logits this near to the operating point say nothing; the card states the scores that come of it."""

CROWD = 600
"""Films of each kind, phantoms and real ones, that the distance is measured from."""
FAR = 0.995
ROOM = 1.25
"""The limit is this much beyond the distance within which all but 5 of 1000 films lie that the crowd does not hold."""


class Distance(nn.Module):
    """How far features lie from the nearer of two crowds, phantoms and films (Lee et al., NeurIPS 2018)."""

    def __init__(self, crowds: Sequence[Floats]) -> None:
        super().__init__()
        fits = [LedoitWolf().fit(crowd) for crowd in crowds]
        roots = [np.linalg.cholesky(fit.precision_) / np.sqrt(crowds[0].shape[1]) for fit in fits]
        self.means: Tensor
        self.roots: Tensor
        self.register_buffer("means", torch.from_numpy(np.stack([fit.location_ for fit in fits])).float())
        self.register_buffer("roots", torch.from_numpy(np.stack(roots)).float())

    def forward(self, features: Tensor) -> Tensor:
        """(B, 256) -> (B, 1), about 1 for films of a crowd."""
        beside = features[None] - self.means[:, None]  # (2, B, 256)
        turned = torch.matmul(beside, self.roots)  # (2, B, 256)
        return turned.square().sum(2).amin(0).sqrt()[:, None]


class Chest(nn.Module):
    """One pass: findings with their maps, structures, view, and how far the film lies from those learned from."""

    def __init__(self, anatomy: AnatomyNet, heads: Heads, bias: Tensor) -> None:
        super().__init__()
        self.anatomy, self.heads = anatomy, heads
        self.bias = nn.Parameter(bias)
        self.distance: nn.Module = nn.Identity()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 256, 256) -> what the card names."""
        whole, thorax = looks(self.anatomy, film)
        added = self.heads(whole.planes, thorax)  # (B, findings, 32, 32)
        return {
            "finding_logits": added.sum((2, 3)) + self.bias,
            "finding_maps": added * (added.shape[2] * added.shape[3]),
            "structure_logits": whole.planes[:, : len(STRUCTURES)],
            "view_logits": whole.views,
            "distance": self.distance(whole.features),
        }


def run(arguments: argparse.Namespace) -> None:
    """Write the bundle from what the other steps left in the work folder, and open it as a node does."""
    torch.set_num_threads(arguments.threads)
    network = evaluate.load(arguments.work)
    table = json.loads((arguments.work / "findings.json").read_text())
    offered = [one for one in table["findings"] if _good(one["name"], table["rows"])]
    fits = torch.load(arguments.work / "findings.pt", weights_only=True)
    chest = joined(network, [fits[one["name"]] for one in offered])
    distance, limit, told = distance_of(network, arguments)
    (arguments.work / "distance.json").write_text(json.dumps(told, indent=1))
    print(json.dumps(told, indent=1))
    chest.distance = distance
    content = export_network(chest.eval(), WHOLE)
    anatomy = json.loads((arguments.work / "anatomy.json").read_text())
    arguments.bundle.mkdir(parents=True, exist_ok=True)
    (arguments.bundle / NETWORK).write_bytes(content)
    text = card(table, offered, anatomy, limit=limit, digest=digest_of(content), arguments=arguments)
    (arguments.bundle / bundle.CARD).write_text(text, encoding="utf-8")
    opened = bundle.load(arguments.bundle)
    print(f"{arguments.bundle}: {len(content):,} bytes, network {opened.identity.weights_digest}")


def joined(anatomy: AnatomyNet, fits: list[dict[str, Tensor]]) -> Chest:
    """Return one graph whose findings are the means of what all fits say, on the scale that was fitted.

    Parameters
    ----------
    fits
        Of each finding that is offered, what `findings.Fit` holds.
    """
    heads, bias = Heads(len(fits), fits[0]["heads"].shape[2] - SURROUNDINGS), torch.zeros(len(fits))
    with torch.no_grad():
        for number, fit in enumerate(fits):
            weights = (fit["heads"].mean(0) * fit["scale"]).float()  # (8, 184)
            heads.sums.weight[number * PARTS : (number + 1) * PARTS, :, 0, 0] = weights
            bias[number] = fit["bias"].mean() * fit["scale"] + fit["offset"]
    return Chest(anatomy, heads, bias)


def distance_of(
    network: AnatomyNet, arguments: argparse.Namespace
) -> tuple[Distance, float, dict[str, dict[str, float]]]:
    """Return the distance, its limit, and how many films of which kind lie beyond it."""
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    part = datasets.split(films, member=0, seed=arguments.seed)
    made = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms).films
    tested = phantoms.load(arguments.work / "phantoms", "test", count=arguments.test_phantoms).films
    known = datasets.load(part.train, WHOLE)
    distance = Distance([features(network, gray(made[:CROWD])), features(network, known[:CROWD])])
    spare = np.concatenate([gray(made[CROWD : CROWD + 200]), datasets.load(part.validation, WHOLE)])
    limit = round(float(np.quantile(distances(distance, network, spare), FAR)) * ROOM, 2)
    test = datasets.load(part.test, WHOLE)
    generator = torch.Generator().manual_seed(arguments.seed)
    strange = strangers(torch.from_numpy(test)[:, None], generator=generator)[:, 0].numpy()
    told = {}
    for name, some in (("films", test), ("phantoms", gray(tested)), ("strangers", strange)):
        far = distances(distance, network, some)
        told[name] = {"films": len(far), "beyond": float((far > limit).mean()), "median": float(np.median(far))}
    return distance, limit, told


def distances(distance: Distance, network: AnatomyNet, films: Float32) -> Floats:
    """Return how far each film lies, (films,)."""
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
    """Return the text of the card: fixed statements, and the figures that the other steps wrote."""
    values = {
        "digest": digest,
        "rows": WHOLE.rows,
        "columns": WHOLE.columns,
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


def _good(name: str, rows: list[dict[str, Any]]) -> bool:
    """Return whether a finding's AUC on all films is surely above the least that is offered."""
    return any(line["finding"] == name and line["view"] == "all" and line["AUC"]["low"] >= LEAST for line in rows)


def _point(one: dict[str, Any]) -> str:
    logit = one["threshold"]
    lines = [
        "[[operating_points.points]]",
        f'label = "{one["name"]}"',
        f"score = {sigmoid(logit):.4f}",
        f"undetermined_from = {sigmoid(logit - BAND):.4f}",
        f"undetermined_to = {sigmoid(logit + BAND):.4f}",
    ]
    return "\n".join(lines) + "\n"


def _metrics(line: dict[str, Any]) -> str:
    """Return one row of figures as entries of the card."""
    return "".join(_metric(line, metric) for metric in ("AUC", "sensitivity", "specificity", "ECE"))


def _metric(line: dict[str, Any], metric: str) -> str:
    figure = {name: round(value, 3) for name, value in line[metric].items()}
    lines = [
        "\n[[evidence.metrics]]",
        f'label = "{line["finding"]}"',
        f'metric = "{metric}"',
        f'view = "{line["view"]}"',
        *(f"{name} = {value}" for name, value in figure.items()),
        f"films = {line['films']}",
        f"with_finding = {line['with_finding']}",
    ]
    if metric == "AUC":
        lines.append(f"baseline = {round(line['thumbnails']['value'], 3)}")
    return "\n".join(lines) + "\n"
