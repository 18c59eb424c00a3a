"""Exports the bundle `chest`: anatomy, views, distance and findings as one graph, with its card."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Float32
from cxr_node.infer import bundle, bundle_registry, prepare
from cxr_node.infer.export import export_network
from cxr_node.infer.findings import sigmoid
from cxr_node.infer.prepare import Frame
from training import datasets, evaluate, judge, phantoms
from training.anatomy import FRAME as ANATOMY_FRAME
from training.anatomynet import AnatomyNet
from training.cells import REGIONS, CellFeatures, OpacityHead, RegionHeads, on_film, soft_maximum
from training.features import Encoder
from training.findings import OPACITY
from training.metrics import Floats
from training.mobilenet import pretrained
from training.out_of_distribution import synthesize
from training.phantoms import STRUCTURES
from training.thorax import FILM
from training.views import features, to_float

NAME = "chest"
VERSION = "2.0.0"
NETWORK = "network.pt2"
FRAME = Frame(rows=FILM, columns=FILM)
FEATURES = 256
"""Features of a film, of which the distance is computed."""
REFERENCE_FILMS = 600
"""Number of films in each of the two reference sets of the distance."""
LIMIT_QUANTILE = 0.995
MARGIN = 1.25
"""The limit is this factor times the 99.5th percentile of the distances of films outside the reference sets."""


class MahalanobisDistance(nn.Module):
    """Mahalanobis distance to the nearer of two reference sets, phantoms and films (Lee et al., NeurIPS 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.means: Tensor
        self.roots: Tensor
        self.register_buffer("means", torch.zeros(2, FEATURES))
        self.register_buffer("roots", torch.zeros(2, FEATURES, FEATURES))

    def fit(self, reference_sets: Sequence[Floats]) -> Self:
        """Fit to the features (films, 256) of the reference sets, and return the module."""
        fits = [LedoitWolf().fit(reference_set) for reference_set in reference_sets]
        roots = [np.linalg.cholesky(fit.precision_) / np.sqrt(FEATURES) for fit in fits]
        self.means.copy_(torch.from_numpy(np.stack([fit.location_ for fit in fits])))
        self.roots.copy_(torch.from_numpy(np.stack(roots)))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """(B, 256) -> (B, 1), about 1 for films of a reference set."""
        offsets = features[None] - self.means[:, None]  # (2, B, 256)
        whitened = torch.matmul(offsets, self.roots)  # (2, B, 256)
        return whitened.square().sum(2).amin(0).sqrt()[:, None]


class Chest(nn.Module):
    """Whole graph: findings with their maps, structures, view, and distance from the reference sets."""

    def __init__(self, encoder: Encoder, opacity: OpacityHead, others: RegionHeads | None) -> None:
        super().__init__()
        self.encoder, self.opacity, self.others = encoder, opacity, others
        self.calibration = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.shifts = nn.Parameter(torch.zeros(1 + (others.findings if others else 0)))
        self.distance: nn.Module = nn.Identity()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 512, 512) -> the outputs on the card."""
        anatomy, thorax, cells = self.encoder(film)
        opacity = self.opacity(cells)  # (B, 11, 11)
        logits = [(soft_maximum(opacity, thorax.lungs) * self.calibration[0] + self.calibration[1])[:, None]]
        maps = [on_film((torch.sigmoid(opacity) * thorax.lungs)[:, None], thorax)]
        if self.others is not None:
            others, contributions = self.others(cells, anatomy.cells, thorax)
            logits.append(others)
            maps.append(torch.relu(contributions))
        return {
            "finding_logits": torch.cat(logits, 1) - self.shifts * ap_share(anatomy.views),
            "finding_maps": torch.cat(maps, 1),
            "structure_logits": anatomy.planes[:, : len(STRUCTURES)],
            "view_logits": anatomy.views,
            "distance": self.distance(anatomy.features),
        }


def ap_share(views: Tensor) -> Tensor:
    """Return the probability of AP among PA and AP, (B, 4) -> (B, 1)."""
    pa, ap = phantoms.VIEWS.index(View.PA), phantoms.VIEWS.index(View.AP)
    return torch.sigmoid(views[:, ap : ap + 1] - views[:, pa : pa + 1])


def run(arguments: argparse.Namespace) -> None:
    """Write the bundle from the results of the other steps in the work folder, and open it as a node does."""
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    tables = json.loads((work / "findings.json").read_text())
    offered = [table for table in tables if table["name"] == OPACITY or judge.is_offered(table)]
    fits = torch.load(work / "findings.pt", weights_only=True)
    network = evaluate.load(work)
    chest = assemble(network, [fits[table["name"]] for table in offered])
    chest.distance, limit = _distance(network, arguments)
    content = export_network(chest.eval(), FRAME)
    arguments.bundle.mkdir(parents=True, exist_ok=True)
    (arguments.bundle / NETWORK).write_bytes(content)
    anatomy = json.loads((work / "anatomy.json").read_text())
    text = card(offered, fits, anatomy, limit=limit, digest=digest_of(content), arguments=arguments)
    (arguments.bundle / bundle_registry.CARD).write_text(text, encoding="utf-8")
    opened = bundle.load(arguments.bundle)
    print(f"{arguments.bundle}: {len(content):,} bytes, network {opened.identity.weights_digest}")


def assemble(anatomy: AnatomyNet, fits: list[dict[str, Tensor]]) -> Chest:
    """Return the whole graph, with the mean of the fits of all folds.

    Parameters
    ----------
    fits
        Of opacity first, then of the other findings that are offered.
    """
    first, others = fits[0], fits[1:]
    opacity = OpacityHead()
    heads = RegionHeads(max(len(others), 1))
    with torch.no_grad():
        opacity.own.weight[0, :, 0, 0] = first["own"].float()
        opacity.bias.copy_(first["bias"].float()[None])
        opacity.other.weight[0, :, 0, 0] = first["other"].float()
        for number, fit in enumerate(others):
            weights = fit["weights"] * fit["scale"]  # (3, 1472)
            heads.sums.weight[number * REGIONS : (number + 1) * REGIONS, :, 0, 0] = weights.float()
            heads.anatomy.weight[number, :, 0, 0] = (fit["anatomy"] * fit["scale"]).float()
            heads.bias.data[number] = (fit["bias"] * fit["scale"] + fit["offset"]).float()
        chest = Chest(Encoder(anatomy, CellFeatures(pretrained())), opacity, heads if others else None)
        chest.calibration.copy_(torch.stack((first["scale"], first["offset"])))
        chest.shifts.copy_(torch.stack([fit["shift"] * fit["scale"] for fit in fits]))
    return chest


def _distance(network: AnatomyNet, arguments: argparse.Namespace) -> tuple[MahalanobisDistance, float]:
    """Return the distance and its limit, fitted once for a trained anatomy network."""
    saved = arguments.work / "distance.pt"
    if not saved.exists():
        fitted, limit, summary = fit_distance(network, arguments)
        (arguments.work / "distance.json").write_text(json.dumps({"limit": limit, "shares": summary}, indent=1))
        torch.save(fitted.state_dict(), saved)
    distance = MahalanobisDistance()
    distance.load_state_dict(torch.load(saved, weights_only=True))
    return distance, float(json.loads((arguments.work / "distance.json").read_text())["limit"])


def fit_distance(
    network: AnatomyNet, arguments: argparse.Namespace
) -> tuple[MahalanobisDistance, float, dict[str, dict[str, float]]]:
    """Return the distance, its limit, and the share of each kind of films beyond it."""
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    part = datasets.split(films, fold=0, seed=arguments.seed)
    synthetic = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms).films
    tested = phantoms.load(arguments.work / "phantoms", "test", count=arguments.test_phantoms).films
    real = datasets.load(part.train, ANATOMY_FRAME)
    distance = MahalanobisDistance().fit(
        [features(network, to_float(synthetic[:REFERENCE_FILMS])), features(network, real[:REFERENCE_FILMS])]
    )
    held_out = np.concatenate(
        [to_float(synthetic[REFERENCE_FILMS : REFERENCE_FILMS + 200]), datasets.load(part.validation, ANATOMY_FRAME)]
    )
    limit = round(float(np.quantile(distances(distance, network, held_out), LIMIT_QUANTILE)) * MARGIN, 2)
    test = datasets.load(part.test, ANATOMY_FRAME)
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
    offered: list[dict[str, Any]],
    fits: dict[str, dict[str, Tensor]],
    anatomy: dict[str, Any],
    *,
    limit: float,
    digest: str,
    arguments: argparse.Namespace,
) -> str:
    """Return the text of the card: the template, filled with the figures of the other steps."""
    values = {
        "digest": digest,
        "rows": FRAME.rows,
        "columns": FRAME.columns,
        "recipe": prepare.RECIPE,
        "description": prepare.DESCRIPTION,
        "name": NAME,
        "version": VERSION,
        "limit": limit,
        "phantoms": arguments.phantoms,
        "lungs": round(anatomy["dice"]["lungs"]["value"], 3),
        "heart": round(anatomy["dice"]["heart"]["value"], 3),
        "clavicles": round(anatomy["dice"]["clavicles"]["value"], 3),
        "labels": "\n".join(LABELS[table["name"]] for table in offered),
        "points": "\n".join(_point(table["name"], float(fits[table["name"]]["threshold"])) for table in offered),
        "structures": "\n".join(f'[[structures]]\nkey = "{name}"\n' for name in STRUCTURES),
    }
    template = Path(__file__).with_name("chest.card.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        template = template.replace(f"<{key}>", str(value))
    return template + "".join(_metrics(table) for table in offered)


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
outlined = false
""",
    "lung_mass": """[[labels]]
key = "lung_mass"
code = { value = "309529002", scheme_designator = "SCT", meaning = "Lung mass" }
site = { value = "39607008", scheme_designator = "SCT", meaning = "Lung" }
""",
    "pulmonary_fibrosis": """[[labels]]
key = "pulmonary_fibrosis"
code = { value = "51615001", scheme_designator = "SCT", meaning = "Pulmonary fibrosis" }
site = { value = "39607008", scheme_designator = "SCT", meaning = "Lung" }
""",
    "edema": """[[labels]]
key = "edema"
code = { value = "19242006", scheme_designator = "SCT", meaning = "Pulmonary edema" }
site = { value = "39607008", scheme_designator = "SCT", meaning = "Lung" }
""",
}


def _point(name: str, logit: float) -> str:
    lines = [
        "[[operating_points.points]]",
        f'label = "{name}"',
        f"score = {sigmoid(logit):.4f}",
        f"undetermined_from = {sigmoid(logit - judge.UNDETERMINED_BAND):.4f}",
        f"undetermined_to = {sigmoid(logit):.4f}",
    ]
    return "\n".join(lines) + "\n"


def _metrics(table: dict[str, Any]) -> str:
    """Return the figures of a finding, against the labels that it is judged by, as entries of the card."""
    judged_by = table["rows"][0]["labels"]
    rows = [row for row in table["rows"] if row["labels"] == judged_by and row["view"] in judge.VIEWS]
    return "".join(_metric(table["name"], row) for row in rows)


def _metric(name: str, row: dict[str, Any]) -> str:
    lines = [
        "\n[[evidence.metrics]]",
        f'label = "{name}"',
        'metric = "AUC"',
        f'view = "{row["view"]}"',
        *(f"{key} = {round(value, 3)}" for key, value in row["auc"].items()),
        f"films = {row['films']}",
        f"with_finding = {row['positive']}",
    ]
    return "\n".join(lines) + "\n"
