"""Writes the report and pictures of the bundle `chest` from the results of the other steps in the work folder."""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from cxr_node.infer import bundle
from training import findings, judge, readings
from training.metrics import Floats
from training.phantoms import STRUCTURES
from training.thorax import FILM

EXPOSED = 60
"""Number of films whose exposure is changed."""
EXPOSURES: dict[str, Callable[[Floats], Floats]] = {
    "gamma 0.7": lambda gray: gray**0.7,
    "gamma 1.4": lambda gray: gray**1.4,
    "window 0.1 to 0.9": lambda gray: np.clip((gray - 0.1) / 0.8, 0, 1),
    "gray x 0.75 + 0.25": lambda gray: gray * 0.75 + 0.25,
}

COLUMNS = 6
TILE = 224
INSPECTION = "chest.inspection.csv"
"""Visual inspection of the contact sheets: a column per structure, right, minor or wrong in each."""

VERDICTS = ("right", "minor", "wrong")


def run(arguments: argparse.Namespace) -> None:
    """Write `chest.md` and its picture of maps into the folder of reports.

    The sheet of outlines and its inspection belong to the anatomy network: `evaluate` writes the sheets.
    """
    torch.set_num_threads(arguments.threads)
    work, folder = arguments.work, arguments.report
    tables = json.loads((work / "findings.json").read_text())
    opened = bundle.load(arguments.bundle)
    examples(arguments, opened).quantize(96).save(folder.parent / "pictures" / "chest-maps.png", optimize=True)
    values = {
        "findings": judge.as_text(tables),
        "offered": ", ".join(label.key.replace("_", " ") for label in opened.card.labels),
        "exposures": exposures(arguments, opened),
        "anatomy": anatomy(json.loads((work / "anatomy.json").read_text())),
        "distance": distance(json.loads((work / "distance.json").read_text())["shares"]),
        "inspection": inspection(folder / INSPECTION),
        "digest": opened.identity.weights_digest,
    }
    text = Path(__file__).with_name("chest.report.md").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"<!-- {key} -->", value)
    (folder / "chest.md").write_text(text, encoding="utf-8")


def exposures(arguments: argparse.Namespace, opened: bundle.Bundle) -> str:
    """Return the mean and largest change of each finding's score by another exposure, as a Markdown table."""
    films = fair_films(arguments)[:EXPOSED]
    program = opened.program(torch.device("cpu"))
    scores: dict[str, list[Floats]] = {name: [] for name in ("as it is", *EXPOSURES)}
    with torch.inference_mode():
        for film in films:
            gray = readings.pixels_of(film, FILM)
            for name, change in ((next(iter(scores)), None), *EXPOSURES.items()):
                shown = gray if change is None else change(gray)
                logits = program(torch.from_numpy(shown.astype(np.float32))[None, None])["finding_logits"][0]
                scores[name].append(torch.sigmoid(logits).numpy())
    plain = np.stack(scores["as it is"])
    lines = ["| exposure | finding | mean change of the score | largest |", "|---|---|---|---|"]
    for name in EXPOSURES:
        difference = np.abs(np.stack(scores[name]) - plain)
        lines += [
            f"| {name} | {label.key} | {difference[:, number].mean():.3f} | {difference[:, number].max():.3f} |"
            for number, label in enumerate(opened.card.labels)
        ]
    return "\n".join(lines)


def examples(arguments: argparse.Namespace, opened: bundle.Bundle) -> Image.Image:
    """Return the first fairly chosen films with a mined label of each finding, with the finding's map overlaid."""
    program = opened.program(torch.device("cpu"))
    names = {"lung_opacity": "Infiltration", **findings.LABELS}
    films = fair_films(arguments)
    tiles = []
    for number, label in enumerate(opened.card.labels):
        own = [film for film in films if names[label.key] in film.labels][:COLUMNS]
        for film in own:
            gray = readings.pixels_of(film, FILM)
            with torch.inference_mode():
                outputs = program(torch.from_numpy(gray)[None, None])
            score = float(torch.sigmoid(outputs["finding_logits"][0, number]))
            text = f"{label.key}: {score:.2f}"
            tiles.append(_overlay_map(gray, outputs["finding_maps"][0, number].numpy(), text))
    sheet = Image.new("RGB", (COLUMNS * TILE, -(-len(tiles) // COLUMNS) * TILE))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * TILE, place // COLUMNS * TILE))
    return sheet


def fair_films(arguments: argparse.Namespace) -> list[readings.ReadFilm]:
    """Return the fairly chosen films of the table."""
    films = readings.read_table(arguments.readings, arguments.readings_films, chosen=arguments.fair)
    return [film for film in films if film.is_fair]


def _overlay_map(film: Floats, activation: Floats, text: str) -> Image.Image:
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
