"""Evaluates the anatomy network: on phantoms against truth, and on films as contact sheets for visual inspection."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional
from tqdm import tqdm

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Float32
from training import datasets, phantoms
from training.anatomy import FRAME, NOT_A_CHEST, PLANES, crop_hearts, largest_component
from training.anatomynet import AnatomyNet, Sizes
from training.metrics import Bools, Estimate, Floats, with_interval
from training.out_of_distribution import synthesize
from training.phantoms import STRUCTURES, VIEWS, Phantoms

IN_ONE_PIECE = STRUCTURES[:5]
"""Structures in one piece: the largest component is kept, and its holes are filled."""

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
"""Okabe and Ito's palette, safe for color-blind readers."""


def run(arguments: argparse.Namespace) -> None:
    """Write `anatomy.json` and contact sheets of films with outlines into the work folder."""
    torch.set_num_threads(arguments.threads)
    network = load(arguments.work)
    synthetic = crop_hearts(phantoms.load(arguments.work / "phantoms", "test", count=arguments.test_phantoms))
    figures = on_phantoms(network, synthetic)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    test = datasets.split(films, fold=0, seed=arguments.seed).test
    figures |= view_accuracy(network, test)
    (arguments.work / "anatomy.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    inspected = sample_films(test, arguments.inspected, seed=arguments.seed)
    for number, sheet in enumerate(contact_sheets(network, inspected, per_sheet=12)):
        sheet.save(arguments.work / f"anatomy-{number}.png")


def load(work: Path) -> AnatomyNet:
    """Return the trained network for evaluation, with the fitted view weights if there are any."""
    network = AnatomyNet(Sizes(planes=len(PLANES)))
    network.load_state_dict(torch.load(work / "anatomy.pt", weights_only=True))
    if (work / "views.pt").exists():
        network.views.load_state_dict(torch.load(work / "views.pt", weights_only=True))
    return network.eval()


def predict_masks(network: AnatomyNet, film: Float32, *, side: int) -> tuple[dict[str, Bools], Float32]:
    """Return the masks of one film (256, 256), each (side, side), and the scores of the four views."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(film)[None, None])
        planes = functional.interpolate(outputs.planes, (side, side), mode="bilinear", align_corners=False)[0].numpy()
        views: Float32 = torch.softmax(outputs.views, 1)[0].numpy()
    masks: dict[str, Bools] = {}
    for number, name in enumerate(STRUCTURES):
        mask = planes[number] > 0
        masks[name] = largest_component(mask) if name in IN_ONE_PIECE else mask
    masks["right_lung"] &= planes[0] >= planes[1]
    masks["left_lung"] &= planes[1] > planes[0]
    return masks, views


def cardiothoracic_ratio(masks: dict[str, Bools]) -> float:
    """Return the cardiothoracic ratio of masks, NaN without a heart or a lung."""
    heart = np.flatnonzero(masks["heart"].any(0))
    lungs = np.flatnonzero((masks["right_lung"] | masks["left_lung"]).any(0))
    if not len(heart) or not len(lungs):
        return float("nan")
    return float((heart[-1] - heart[0] + 1) / (lungs[-1] - lungs[0] + 1))


def dice(one: Bools, other: Bools) -> float:
    """Return twice the common area over the sum of areas; NaN if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")


def on_phantoms(network: AnatomyNet, synthetic: Phantoms) -> dict[str, object]:
    """Return Dice per structure, the error of the cardiothoracic ratio and the accuracy of views, with intervals."""
    scores: dict[str, list[float]] = {name: [] for name in ("lungs", "clavicles", *STRUCTURES)}
    errors, view_hits = [], []
    for film, bits, view, true in zip(
        tqdm(synthetic.films, desc="phantoms", unit="film"),
        synthetic.bits,
        synthetic.views,
        synthetic.ratio,
        strict=True,
    ):
        masks, views = predict_masks(network, film.astype(np.float32) / np.float32(255), side=512)
        view_hits.append(float(int(np.argmax(views)) == view))
        if VIEWS[view] is View.LATERAL:
            continue
        errors.append(cardiothoracic_ratio(masks) - true)
        small = {name: _half_size(mask) for name, mask in masks.items()}
        truth = {name: (bits >> np.uint32(number)) & 1 > 0 for number, name in enumerate(STRUCTURES)}
        for part in (small, truth):
            part["lungs"] = part["right_lung"] | part["left_lung"]
            part["clavicles"] = part["right_clavicle"] | part["left_clavicle"]
        for name, values in scores.items():
            values.append(dice(small[name], truth[name]))
    generator = torch.Generator().manual_seed(len(synthetic.films))
    outliers = synthesize(torch.from_numpy(synthetic.films).float()[:, None] / 255, generator=generator).numpy()
    kinds = [int(np.argmax(predict_masks(network, film[0], side=128)[1])) for film in outliers]
    outlier_hits = [float(kind == NOT_A_CHEST) for kind in kinds]
    return {
        "dice": {name: _mean(np.array(values)) for name, values in scores.items()},
        "ratio_absolute_error": _mean(np.abs(np.array(errors))),
        "ratio_error": _mean(np.array(errors)),
        "view_accuracy": _mean(np.array(view_hits)),
        "out_of_distribution_accuracy": _mean(np.array(outlier_hits)),
    }


def view_accuracy(network: AnatomyNet, films: tuple[datasets.LabeledFilm, ...]) -> dict[str, object]:
    """Return the accuracy of the view on real films, against their table."""
    hits = []
    for film, prepared in zip(films, datasets.load(films, FRAME), strict=True):
        _, views = predict_masks(network, prepared, side=128)
        hits.append(float(VIEWS.index(film.view) == int(np.argmax(views))))
    return {"real_view_accuracy": _mean(np.array(hits))}


def sample_films(films: tuple[datasets.LabeledFilm, ...], count: int, *, seed: int) -> tuple[datasets.LabeledFilm, ...]:
    """Return a random sample of films."""
    chosen = np.random.default_rng(seed).permutation(len(films))[:count]
    return tuple(films[int(number)] for number in chosen)


def contact_sheets(
    network: AnatomyNet, films: tuple[datasets.LabeledFilm, ...], *, per_sheet: int, side: int = 320
) -> list[Image.Image]:
    """Return contact sheets of films with outlines, four in a row, each with its number."""
    prepared = datasets.load(films, FRAME)
    tiles = []
    for number, film in enumerate(prepared):
        masks, views = predict_masks(network, film, side=side)
        view = ("PA", "AP", "LAT", "?")[int(np.argmax(views))]
        text = f"{number + 1}  {view}  CTR {cardiothoracic_ratio(masks):.2f}"
        tiles.append(draw_outlines(film, masks, text))
    pages = []
    for first in range(0, len(tiles), per_sheet):
        part = tiles[first : first + per_sheet]
        sheet = Image.new("RGB", (4 * side, -(-len(part) // 4) * side))
        for place, tile in enumerate(part):
            sheet.paste(tile, (place % 4 * side, place // 4 * side))
        pages.append(sheet)
    return pages


def draw_outlines(film: Float32, masks: dict[str, Bools], text: str) -> Image.Image:
    """Return a film in gray with the outlines of its structures."""
    side = len(next(iter(masks.values())))
    gray = Image.fromarray((film * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    picture = np.array(gray.convert("RGB"))
    for name, color in COLORS.items():
        mask = masks[name]
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        picture[mask & ~inner] = color
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((4, 4), text, fill=(255, 255, 0))
    return image


def _half_size(mask: Bools) -> Bools:
    """Return a mask at half its rows and columns; a pixel is set if at least half of its four are."""
    pixels = mask.astype(np.uint8)
    total = pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]
    halved: Bools = total >= 2
    return halved


def _mean(values: Floats) -> dict[str, float]:
    """Return the mean with its 95 % interval, over films with a value."""
    present = values[~np.isnan(values)]
    estimate: Estimate = with_interval(
        lambda films: float(present[films].mean()), [str(n) for n in range(len(present))]
    )
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "films": len(present)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for evaluating anatomy to a command line."""
    parser.add_argument("--inspected", type=int, default=60, help="films on the contact sheets")
