"""Writes the report and plots of the bundle `chest` from the results of the other steps in the work folder."""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw

from cxr_node.domain.radiograph import Float32
from cxr_node.infer import bundle
from cxr_node.infer.prepare import prepare
from training import datasets, evaluate
from training.anatomy import FRAME
from training.findings import BINS, as_text
from training.metrics import Bools, Floats
from training.phantoms import STRUCTURES

TILE = 224
INSPECTION = "chest.inspection.csv"
"""Visual inspection of the contact sheets: a column per structure, right, minor or wrong in each."""

VERDICTS = ("right", "minor", "wrong")


def run(arguments: argparse.Namespace) -> None:
    """Write `chest.md` and its pictures into the folder of reports."""
    torch.set_num_threads(arguments.threads)
    folder: Path = arguments.report
    pictures = folder.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    table = json.loads((arguments.work / "findings.json").read_text())
    plot_curves(table["findings"]).savefig(pictures / "chest-roc.png", dpi=80)
    examples(arguments, table["findings"]).quantize(96).save(pictures / "chest-examples.png", optimize=True)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    inspected = evaluate.sample_films(
        datasets.split(films, fold=0, seed=arguments.seed).test, arguments.inspected, seed=arguments.seed
    )
    network = evaluate.load(arguments.work)
    (sheet,) = evaluate.contact_sheets(network, inspected[:24], per_sheet=24, side=240)
    sheet.quantize(96).save(pictures / "chest-anatomy.png", optimize=True)
    values = {
        "findings": as_text(table["rows"]),
        "anatomy": anatomy(json.loads((arguments.work / "anatomy.json").read_text())),
        "distance": distance(json.loads((arguments.work / "distance.json").read_text())),
        "inspection": inspection(folder / INSPECTION),
        "digest": bundle.load(arguments.bundle).identity.weights_digest,
    }
    text = Path(__file__).with_name("chest.report.md").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"<!-- {key} -->", value)
    (folder / "chest.md").write_text(text, encoding="utf-8")


def plot_curves(findings: list[dict[str, Any]]) -> "mpl.figure.Figure":
    """Return for each finding the ROC curve per view and the reliability diagram."""
    figure, axes = plt.subplots(len(findings), 2, figsize=(9, 4.2 * len(findings)), squeeze=False)
    for (roc, reliability), one in zip(axes, findings, strict=True):
        positive, logits = np.array(one["positive"]), np.array(one["logits"])
        views = np.array(one["views"])
        for view, color in (("PA", "#0072b2"), ("AP", "#d55e00")):
            chosen = views == view
            false, true = roc_curve(positive[chosen], logits[chosen])
            roc.plot(false, true, color=color, label=view)
        roc.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        roc.set(title=f"{one['name']}: ROC", xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        roc.legend(loc="lower right")
        scores = 1 / (1 + np.exp(-logits))
        groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
        predicted = [float(scores[group].mean()) for group in groups]
        observed = [float(positive[group].mean()) for group in groups]
        error = [
            1.96 * float(np.sqrt(rate * (1 - rate) / len(group))) for rate, group in zip(observed, groups, strict=True)
        ]
        reliability.errorbar(predicted, observed, yerr=error, fmt="o", color="#009e73")
        reliability.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        title = f"{one['name']}: calibration"
        reliability.set(title=title, xlabel="mean score of a tenth of the films", ylabel="share with the finding")
    figure.tight_layout()
    return figure


def roc_curve(positive: Bools, logits: Floats) -> tuple[Floats, Floats]:
    """Return 1 - specificity and sensitivity at every score, from the highest down."""
    order = np.argsort(-logits, kind="stable")
    true = np.concatenate([[0.0], np.cumsum(positive[order]) / positive.sum()])
    false = np.concatenate([[0.0], np.cumsum(~positive[order]) / (~positive).sum()])
    return false, true


def examples(arguments: argparse.Namespace, findings: list[dict[str, Any]]) -> Image.Image:
    """Return a row per finding: the most confident right and wrong calls, with their maps overlaid."""
    opened = bundle.load(arguments.bundle)
    program = opened.program(torch.device("cpu"))
    keys = [label.key for label in opened.card.labels]
    offered = [one for one in findings if one["name"] in keys]
    tiles = []
    for one in offered:
        for number, kind in _most_confident(np.array(one["positive"]), np.array(one["logits"])):
            film = prepare(datasets.radiograph(arguments.films / one["films"][number]), FRAME)
            with torch.inference_mode():
                maps = program(torch.from_numpy(film)[None, None])["finding_maps"][0, keys.index(one["name"])]
            score = 1 / (1 + np.exp(-one["logits"][number]))
            text = f"{one['name']}: {kind}\n{one['views'][number]}, {score:.2f} out of fold"
            tiles.append(_overlay_map(film, maps.numpy(), text))
    sheet = Image.new("RGB", (8 * TILE, len(offered) * TILE))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % 8 * TILE, place // 8 * TILE))
    return sheet


def _most_confident(positive: Bools, logits: Floats) -> list[tuple[int, str]]:
    """Return the two most confident films of each kind, and the name of the kind."""
    kinds = (
        ("true positive", positive, -logits),
        ("true negative", ~positive, logits),
        ("false positive", ~positive, -logits),
        ("false negative", positive, logits),
    )
    return [
        (int(number), kind)
        for kind, mask, order in kinds
        for number in np.flatnonzero(mask)[np.argsort(order[mask], kind="stable")[:2]]
    ]


def _overlay_map(film: Float32, activation: Float32, text: str) -> Image.Image:
    """Return a film with the positive part of a map over it, relative to the map's maximum."""
    gray = np.array(Image.fromarray((film * 255).astype(np.uint8)).resize((TILE, TILE)))
    share = activation.clip(min=0) / max(float(activation.max()), 1e-6)
    heat = np.array(Image.fromarray((share * 255).astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BICUBIC))
    weight = 0.6 * heat[..., None] / 255
    color = np.array([230, 159, 0])
    mixed = (gray[..., None] * (1 - weight) + color * weight).astype(np.uint8)
    image = Image.fromarray(mixed)
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return image


def anatomy(metrics: dict[str, Any]) -> str:
    """Return the metrics on phantoms as a Markdown table."""
    lines = ["| on test phantoms | value (95 % interval) | films |", "|---|---|---|"]
    names = ("lungs", "clavicles", *STRUCTURES)
    lines += [f"| Dice, {name.replace('_', ' ')} {_estimate(metrics['dice'][name])}" for name in names]
    lines.append(f"| cardiothoracic ratio, mean absolute error {_estimate(metrics['ratio_absolute_error'])}")
    lines.append(f"| cardiothoracic ratio, mean error {_estimate(metrics['ratio_error'])}")
    lines.append(f"| accuracy of the view (PA, AP, lateral) {_estimate(metrics['view_accuracy'])}")
    lines.append(f"| out-of-distribution pictures recognized {_estimate(metrics['out_of_distribution_accuracy'])}")
    lines.append(f"| on films of test patients: view as in the table {_estimate(metrics['real_view_accuracy'])}")
    return "\n".join(lines)


def _estimate(estimate: dict[str, float]) -> str:
    return f"| {estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f}) | {estimate['films']} |"


def distance(summary: dict[str, dict[str, float]]) -> str:
    """Return the share of each kind of films beyond the limit, as a Markdown table."""
    lines = ["| films | number | beyond the limit | median distance |", "|---|---|---|---|"]
    for name, one in summary.items():
        lines.append(f"| {name} | {one['films']} | {100 * one['beyond']:.1f} % | {one['median']:.2f} |")
    return "\n".join(lines)


def inspection(path: Path) -> str:
    """Return the results of the visual inspection per structure, as a Markdown table."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name not in ("number", "film", "remark")]
    table = ["| structure | " + " | ".join(VERDICTS) + " | of |", "|---" * (len(VERDICTS) + 2) + "|"]
    for name in names:
        counts = Counter(row[name] for row in rows if row[name])
        cells = [str(counts[verdict]) for verdict in VERDICTS]
        table.append(f"| {name} | " + " | ".join(cells) + f" | {sum(counts.values())} |")
    return "\n".join(table)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the report to a command line."""
    parser.add_argument("--report", type=Path, default=Path("docs/models"), help="folder to write the report to")
