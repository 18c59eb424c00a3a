"""Draw the figures of the bundle `chest`, and write its report from what the other steps left in the work folder."""

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
from training.anatomy import WHOLE
from training.findings import BINS, as_text
from training.metrics import Bools, Floats
from training.phantoms import STRUCTURES

TILE = 224
EYES = "chest.eyes.csv"
"""What a person saw on the drawn films: a column per structure, right, minor or wrong in each."""

VERDICTS = ("right", "minor", "wrong")


def run(arguments: argparse.Namespace) -> None:
    """Write `chest.md` and its pictures into the folder of reports."""
    torch.set_num_threads(arguments.threads)
    folder: Path = arguments.report
    pictures = folder.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    table = json.loads((arguments.work / "findings.json").read_text())
    curves(table["findings"]).savefig(pictures / "chest-roc.png", dpi=80)
    examples(arguments, table["findings"]).quantize(96).save(pictures / "chest-examples.png", optimize=True)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    drawn = evaluate.some(
        datasets.split(films, member=0, seed=arguments.seed).test, arguments.drawn, seed=arguments.seed
    )
    network = evaluate.load(arguments.work)
    (sheet,) = evaluate.sheets(network, drawn[:24], per_sheet=24, side=240)
    sheet.quantize(96).save(pictures / "chest-anatomy.png", optimize=True)
    values = {
        "findings": as_text(table["rows"]),
        "anatomy": anatomy(json.loads((arguments.work / "anatomy.json").read_text())),
        "distance": distance(json.loads((arguments.work / "distance.json").read_text())),
        "eyes": eyes(folder / EYES),
        "digest": bundle.load(arguments.bundle).identity.weights_digest,
    }
    text = Path(__file__).with_name("chest.report.md").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"<!-- {key} -->", value)
    (folder / "chest.md").write_text(text, encoding="utf-8")


def curves(findings: list[dict[str, Any]]) -> "mpl.figure.Figure":
    """Return, of each finding, the ROC in each view and how often films of a score had the finding."""
    figure, axes = plt.subplots(len(findings), 2, figsize=(9, 4.2 * len(findings)), squeeze=False)
    for (roc, reliability), one in zip(axes, findings, strict=True):
        shown, logits = np.array(one["shown"]), np.array(one["logits"])
        views = np.array(one["views"])
        for view, color in (("PA", "#0072b2"), ("AP", "#d55e00")):
            chosen = views == view
            false, true = roc_of(shown[chosen], logits[chosen])
            roc.plot(false, true, color=color, label=view)
        roc.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        roc.set(title=f"{one['name']}: ROC", xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        roc.legend(loc="lower right")
        scores = 1 / (1 + np.exp(-logits))
        groups = np.array_split(np.argsort(scores, kind="stable"), BINS)
        said = [float(scores[group].mean()) for group in groups]
        seen = [float(shown[group].mean()) for group in groups]
        error = [
            1.96 * float(np.sqrt(rate * (1 - rate) / len(group))) for rate, group in zip(seen, groups, strict=True)
        ]
        reliability.errorbar(said, seen, yerr=error, fmt="o", color="#009e73")
        reliability.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        title = f"{one['name']}: calibration"
        reliability.set(title=title, xlabel="mean score of a tenth of the films", ylabel="share with the finding")
    figure.tight_layout()
    return figure


def roc_of(shown: Bools, logits: Floats) -> tuple[Floats, Floats]:
    """Return 1 - specificity and sensitivity at every score, from the highest down."""
    order = np.argsort(-logits, kind="stable")
    true = np.concatenate([[0.0], np.cumsum(shown[order]) / shown.sum()])
    false = np.concatenate([[0.0], np.cumsum(~shown[order]) / (~shown).sum()])
    return false, true


def examples(arguments: argparse.Namespace, findings: list[dict[str, Any]]) -> Image.Image:
    """Return a row per finding: films called right and wrong with the most confidence, their maps laid over them."""
    opened = bundle.load(arguments.bundle)
    program = opened.program(torch.device("cpu"))
    keys = [label.key for label in opened.card.labels]
    offered = [one for one in findings if one["name"] in keys]
    tiles = []
    for one in offered:
        for number, kind in _telling(np.array(one["shown"]), np.array(one["logits"])):
            film = prepare(datasets.radiograph(arguments.films / one["films"][number]), WHOLE)
            with torch.inference_mode():
                maps = program(torch.from_numpy(film)[None, None])["finding_maps"][0, keys.index(one["name"])]
            score = 1 / (1 + np.exp(-one["logits"][number]))
            text = f"{one['name']}: {kind}\n{one['views'][number]}, {score:.2f} out of fold"
            tiles.append(_mapped(film, maps.numpy(), text))
    sheet = Image.new("RGB", (8 * TILE, len(offered) * TILE))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % 8 * TILE, place // 8 * TILE))
    return sheet


def _telling(shown: Bools, logits: Floats) -> list[tuple[int, str]]:
    """Return two films of each kind, those of the most confidence, and what each is an example of."""
    kinds = (
        ("shown, seen", shown, -logits),
        ("not shown, not seen", ~shown, logits),
        ("not shown, but seen", ~shown, -logits),
        ("shown, not seen", shown, logits),
    )
    return [
        (int(number), kind)
        for kind, mask, order in kinds
        for number in np.flatnonzero(mask)[np.argsort(order[mask], kind="stable")[:2]]
    ]


def _mapped(film: Float32, activation: Float32, text: str) -> Image.Image:
    """Return a film with the positive part of a map over it, as strong as the map's own highest value."""
    gray = np.array(Image.fromarray((film * 255).astype(np.uint8)).resize((TILE, TILE)))
    share = activation.clip(min=0) / max(float(activation.max()), 1e-6)
    heat = np.array(Image.fromarray((share * 255).astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BICUBIC))
    weight = 0.6 * heat[..., None] / 255
    color = np.array([230, 159, 0])
    mixed = (gray[..., None] * (1 - weight) + color * weight).astype(np.uint8)
    image = Image.fromarray(mixed)
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return image


def anatomy(figures: dict[str, Any]) -> str:
    """Return the figures on phantoms as a Markdown table."""
    lines = ["| on phantoms not learned from | value (95 % interval) | films |", "|---|---|---|"]
    names = ("lungs", "clavicles", *STRUCTURES)
    lines += [f"| Dice, {name.replace('_', ' ')} {_told(figures['dice'][name])}" for name in names]
    lines.append(f"| cardiothoracic ratio, mean absolute error {_told(figures['ratio_absolute_error'])}")
    lines.append(f"| cardiothoracic ratio, mean error {_told(figures['ratio_error'])}")
    lines.append(f"| view told right (PA, AP, lateral) {_told(figures['view_accuracy'])}")
    lines.append(f"| strangers told from chest films {_told(figures['stranger_accuracy'])}")
    lines.append(
        f"| on films of patients not learned from: view as in the table {_told(figures['real_view_accuracy'])}"
    )
    return "\n".join(lines)


def _told(figure: dict[str, float]) -> str:
    return f"| {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}) | {figure['films']} |"


def distance(told: dict[str, dict[str, float]]) -> str:
    """Return how many films of which kind lie beyond the limit."""
    lines = ["| films | number | beyond the limit | median distance |", "|---|---|---|---|"]
    for name, one in told.items():
        lines.append(f"| {name} | {one['films']} | {100 * one['beyond']:.1f} % | {one['median']:.2f} |")
    return "\n".join(lines)


def eyes(path: Path) -> str:
    """Return what was seen, counted by structure."""
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
