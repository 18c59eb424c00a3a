"""Judge the anatomy: on phantoms whose truth is known, and on films, drawn for people to look at."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, View
from training import datasets, phantoms
from training.anatomy import OTHER, PLANES, WHOLE, solid, with_heart_cut
from training.anatomynet import AnatomyNet, Sizes
from training.metrics import Bools, Figure, Floats, with_interval
from training.out_of_distribution import strangers
from training.phantoms import STRUCTURES, VIEWS, Phantoms

SOLID = STRUCTURES[:5]
"""Structures of one piece: their largest part is taken, its holes filled."""

COLORS = {
    "right_lung": (86, 180, 233),
    "left_lung": (86, 180, 233),
    "heart": (230, 159, 0),
    "right_clavicle": (0, 158, 115),
    "left_clavicle": (0, 158, 115),
    "trachea": (240, 228, 66),
    "bronchi": (240, 228, 66),
    "aorta": (213, 94, 0),
    "spine": (204, 121, 167),
    "right_hemidiaphragm": (255, 255, 255),
    "left_hemidiaphragm": (255, 255, 255),
}
"""Okabe and Ito's palette, told apart by people who see no red or no green."""


def run(arguments: argparse.Namespace) -> None:
    """Write `anatomy.json` into the work folder, and sheets of films with what was outlined on them."""
    torch.set_num_threads(arguments.threads)
    network = load(arguments.work)
    made = with_heart_cut(phantoms.load(arguments.work / "phantoms", "test", count=arguments.test_phantoms))
    figures = on_phantoms(network, made)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    unseen = datasets.split(films, member=0, seed=arguments.seed).test
    figures |= views_of(network, unseen)
    (arguments.work / "anatomy.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    drawn = some(unseen, arguments.drawn, seed=arguments.seed)
    for number, sheet in enumerate(sheets(network, drawn, per_sheet=12)):
        sheet.save(arguments.work / f"anatomy-{number}.png")


def load(work: Path) -> AnatomyNet:
    """Return the trained network, ready to judge, with the views' own weights if they were fitted."""
    network = AnatomyNet(Sizes(planes=len(PLANES)))
    network.load_state_dict(torch.load(work / "anatomy.pt", weights_only=True))
    if (work / "views.pt").exists():
        network.views.load_state_dict(torch.load(work / "views.pt", weights_only=True))
    return network.eval()


def masks(network: AnatomyNet, film: Float32, *, side: int) -> tuple[dict[str, Bools], Float32]:
    """Return the structures drawn on one film (256, 256), each (side, side), and the four views' scores."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(film)[None, None])
        planes = functional.interpolate(outputs.planes, (side, side), mode="bilinear", align_corners=False)[0].numpy()
        views: Float32 = torch.softmax(outputs.views, 1)[0].numpy()
    found: dict[str, Bools] = {}
    for number, name in enumerate(STRUCTURES):
        mask = planes[number] > 0
        found[name] = solid(mask) if name in SOLID else mask
    found["right_lung"] &= planes[0] >= planes[1]
    found["left_lung"] &= planes[1] > planes[0]
    return found, views


def ratio(found: dict[str, Bools]) -> float:
    """Return the cardiothoracic ratio of masks, NaN without a heart or a lung."""
    heart = np.flatnonzero(found["heart"].any(0))
    lungs = np.flatnonzero((found["right_lung"] | found["left_lung"]).any(0))
    if not len(heart) or not len(lungs):
        return float("nan")
    return float((heart[-1] - heart[0] + 1) / (lungs[-1] - lungs[0] + 1))


def dice(one: Bools, other: Bools) -> float:
    """Return twice the common area over the sum of areas; NaN where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")


def on_phantoms(network: AnatomyNet, made: Phantoms) -> dict[str, object]:
    """Return Dice per structure, the error of the cardiothoracic ratio and the accuracy of views, with intervals."""
    scores: dict[str, list[float]] = {name: [] for name in ("lungs", "clavicles", *STRUCTURES)}
    errors, right = [], []
    for film, bits, view, true in zip(
        tqdm(made.films, desc="phantoms", unit="film"), made.bits, made.views, made.ratio, strict=True
    ):
        found, views = masks(network, film.astype(np.float32) / np.float32(255), side=512)
        right.append(float(int(np.argmax(views)) == view))
        if VIEWS[view] is View.LATERAL:
            continue
        errors.append(ratio(found) - true)
        small = {name: _shrunk(mask) for name, mask in found.items()}
        truth = {name: (bits >> np.uint32(number)) & 1 > 0 for number, name in enumerate(STRUCTURES)}
        for part in (small, truth):
            part["lungs"] = part["right_lung"] | part["left_lung"]
            part["clavicles"] = part["right_clavicle"] | part["left_clavicle"]
        for name, values in scores.items():
            values.append(dice(small[name], truth[name]))
    other = strangers(
        torch.from_numpy(made.films).float()[:, None] / 255, generator=torch.Generator().manual_seed(len(made.films))
    ).numpy()
    strange = [float(int(np.argmax(masks(network, film[0], side=128)[1])) == OTHER) for film in other]
    return {
        "dice": {name: _mean(np.array(values)) for name, values in scores.items()},
        "ratio_absolute_error": _mean(np.abs(np.array(errors))),
        "ratio_error": _mean(np.array(errors)),
        "view_accuracy": _mean(np.array(right)),
        "stranger_accuracy": _mean(np.array(strange)),
    }


def views_of(network: AnatomyNet, films: tuple[datasets.LabelledFilm, ...]) -> dict[str, object]:
    """Return how often the view of real films is told as their table has it."""
    right = []
    for film, prepared in zip(films, datasets.load(films, WHOLE), strict=True):
        _, views = masks(network, prepared, side=128)
        right.append(float(VIEWS.index(film.view) == int(np.argmax(views))))
    return {"real_view_accuracy": _mean(np.array(right))}


def some(films: tuple[datasets.LabelledFilm, ...], count: int, *, seed: int) -> tuple[datasets.LabelledFilm, ...]:
    """Return films drawn by chance, in the order drawn."""
    chosen = np.random.default_rng(seed).permutation(len(films))[:count]
    return tuple(films[int(number)] for number in chosen)


def sheets(
    network: AnatomyNet, films: tuple[datasets.LabelledFilm, ...], *, per_sheet: int, side: int = 320
) -> list[Image.Image]:
    """Return pictures of films with what was outlined, four in a row, each with its number."""
    prepared = datasets.load(films, WHOLE)
    tiles = []
    for number, film in enumerate(prepared):
        found, views = masks(network, film, side=side)
        tiles.append(
            outlined(
                film, found, f"{number + 1}  {['PA', 'AP', 'LAT', '?'][int(np.argmax(views))]}  CTR {ratio(found):.2f}"
            )
        )
    made = []
    for first in range(0, len(tiles), per_sheet):
        part = tiles[first : first + per_sheet]
        sheet = Image.new("RGB", (4 * side, -(-len(part) // 4) * side))
        for place, tile in enumerate(part):
            sheet.paste(tile, (place % 4 * side, place // 4 * side))
        made.append(sheet)
    return made


def outlined(film: Float32, found: dict[str, Bools], text: str) -> Image.Image:
    """Return a film in gray with the outlines of its structures."""
    side = len(next(iter(found.values())))
    gray = Image.fromarray((film * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    picture = np.array(gray.convert("RGB"))
    for name, color in COLORS.items():
        mask = found[name]
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        picture[mask & ~inner] = color
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 0))
    return image


def _shrunk(mask: Bools) -> Bools:
    """Return a mask at half its rows and columns: where at least half of the four pixels are in it."""
    four = mask.astype(np.uint8)
    total = four[::2, ::2] + four[1::2, ::2] + four[::2, 1::2] + four[1::2, 1::2]
    shrunk: Bools = total >= 2
    return shrunk


def _mean(values: Floats) -> dict[str, float]:
    """Return the mean with its 95 % interval, over films that have the thing."""
    kept = values[~np.isnan(values)]
    figure: Figure = with_interval(lambda drawn: float(kept[drawn].mean()), [str(n) for n in range(len(kept))])
    return {"value": figure.value, "low": figure.low, "high": figure.high, "films": len(kept)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of judging anatomy to a command line."""
    parser.add_argument("--drawn", type=int, default=60, help="films to draw outlines on")
