"""`cxr-node phantom`: films with truth, picture sheets, and how fast films are made."""

import csv
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFilter

from cxr_node.domain.radiograph import View
from cxr_node.phantom import compare as comparing
from cxr_node.phantom.dicom import EXAMPLE_TIME
from cxr_node.phantom.film import film, films, time_films
from cxr_node.phantom.folder import picture, write
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.truth_types import PhantomFilm

app = typer.Typer(help="Films of a thorax of known anatomy.", no_args_is_help=True)
_THUMBNAIL = 160
_DRAWING = 256
_PER_ROW = 6


@app.command("films")
def write_films(
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many films.")] = 10,
    first: Annotated[int, typer.Option(help="The first seed.")] = 1,
    view: Annotated[View, typer.Option(help="PA, AP or LATERAL.")] = View.PA,
    size: Annotated[int, typer.Option(min=128, help="Rows and columns.")] = 1024,
    pathology: Annotated[list[Kind] | None, typer.Option(help="What every film shows; repeatable.")] = None,
) -> None:
    """Write films as DICOM, with truth and masks beside them."""
    wanted = [Pathology(kind=kind) for kind in pathology or []]
    seeds = range(first, first + count)
    made = films(seeds, views=[view] * count, rows=size, columns=size, pathologies=[wanted] * count)
    for path in write(made, folder, now=EXAMPLE_TIME):
        typer.echo(path)


@app.command()
def sheet(
    picture_path: Annotated[Path, typer.Argument(help="The PNG to write.")],
    first: Annotated[int, typer.Option(help="The first seed.")] = 200,
    rows: Annotated[int, typer.Option(min=1, help="Rows of thumbnails.")] = 4,
    beside: Annotated[Path | None, typer.Option(help="A folder of real films: every second row shows them.")] = None,
    table: Annotated[Path | None, typer.Option(help="Their table, with columns file and view_position.")] = None,
) -> None:
    """Draw a sheet of phantoms, two thirds PA and one third AP, or rows of phantoms and real films in turn."""
    tiles: list[Image.Image] = []
    real = _real_thumbnails(beside, table, rows // 2 * _PER_ROW) if beside and table else []
    for row in range(rows):
        if real and row % 2:
            tiles += real[row // 2 * _PER_ROW :][:_PER_ROW]
            continue
        made = [
            film(seed=first + row * _PER_ROW + k, view=_view(k), pathology=_pathologies(row, k))
            for k in range(_PER_ROW)
        ]
        tiles += [picture(one, _THUMBNAIL) for one in made]
    _compose(tiles).save(picture_path, optimize=True)
    typer.echo(picture_path)


@app.command()
def masks(
    picture_path: Annotated[Path, typer.Argument(help="The PNG to write.")],
    seed: Annotated[int, typer.Option(help="The seed.")] = 31,
) -> None:
    """Draw one film of each pathology with the outlines of its truth."""
    tiles = [
        _outlined(film(seed=seed + k, pathology=[Pathology(kind=kind, severity=0.7)])) for k, kind in enumerate(Kind)
    ]
    sheet = _compose([*tiles, _outlined(film(seed=seed + 20))])
    sheet.quantize(64).save(picture_path, optimize=True)
    typer.echo(picture_path)


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="A folder of real films.")],
    table: Annotated[Path, typer.Argument(help="Their table, with columns file, labels and view_position.")],
    count: Annotated[int, typer.Option(min=2, help="How many films of each kind.")] = 60,
) -> None:
    """Compare the brightness of real films without findings with that of normal phantoms."""
    groups = []
    for view in (View.PA, View.AP):
        listed = [one for one in _films_of_view(table, view.value) if one["labels"] == "No Finding"]
        names = [one["file"] for one in listed[:: max(1, len(listed) // count)]][:count]
        made = films(range(700, 700 + len(names)), views=[view] * len(names))
        groups.append(
            (
                f"real {view}",
                [np.asarray(_open_grayscale(folder / name)).astype(np.float32) / np.float32(255) for name in names],
            )
        )
        groups.append((f"phantoms {view}", [comparing.shown(one) for one in made]))
    typer.echo(comparing.table(groups))


@app.command()
def ranges() -> None:
    """Print what phantoms measure, and where the numbers come from."""
    typer.echo(comparing.ranges())


@app.command()
def rate(
    count: Annotated[int, typer.Option(min=1, help="How many films.")] = 20,
    size: Annotated[int, typer.Option(min=128, help="Rows and columns.")] = 512,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch: Annotated[int, typer.Option(min=1, help="Films made together.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
) -> None:
    """Say how many films a second are made."""
    shares = [range(first, count, processes) for first in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(time_films, [range(1)] * processes, *([one] * processes for one in (size, device, batch))))
        start = time.perf_counter()
        used = sum(pool.map(time_films, shares, *([one] * processes for one in (size, device, batch))))
        wall = time.perf_counter() - start
    typer.echo(
        f"{count / wall:.2f} films/s of {size} x {size} on {device} "
        f"({processes} processes, {used / count:.3f} CPU seconds a film)"
    )


def _view(k: int) -> View:
    return View.PA if k % 3 < 2 else View.AP


def _pathologies(row: int, k: int) -> list[Pathology]:
    """Every third film of a sheet is not normal."""
    kinds = list(Kind)
    return [Pathology(kind=kinds[(row + k // 3) % len(kinds)])] if k % 3 == 2 else []


def _real_thumbnails(folder: Path, table: Path, count: int) -> list[Image.Image]:
    """Return thumbnails of the first `count` films of the table, two PA to one AP."""
    chosen = {view: [one["file"] for one in _films_of_view(table, view)][5::7] for view in ("PA", "AP")}
    names = [chosen[_view(k)].pop(0) for k in range(count)]
    return [_open_grayscale(folder / name).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS) for name in names]


def _films_of_view(table: Path, view: str) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        return [one for one in csv.DictReader(lines) if one["view_position"] == view]


def _open_grayscale(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("L")


def _outlined(one: PhantomFilm) -> Image.Image:
    image = picture(one, _DRAWING).convert("RGB")
    draw = ImageDraw.Draw(image)
    scale = image.width / one.p_values.shape[1]
    for name, color in (
        ("right_lung", "cyan"),
        ("left_lung", "cyan"),
        ("heart", "orange"),
        ("right_clavicle", "lime"),
        ("left_clavicle", "lime"),
    ):
        mask = Image.fromarray(one.masks[name]).resize(image.size)
        edge = Image.composite(Image.new("L", image.size, 0), mask.convert("L"), _eroded(mask))
        image.paste(color, mask=edge)
    for line in (one.truth.heart_line, one.truth.thorax_line):
        if line is not None:
            draw.line([(x * scale, y * scale) for x, y in line], fill="yellow")
    for lesion in one.truth.lesions:
        draw.rectangle([edge * scale for edge in lesion.box], outline="red")
        draw.text((4, 4), lesion.pathology.kind.value, fill="red")
    return image


def _eroded(mask: Image.Image) -> Image.Image:
    return mask.convert("L").filter(ImageFilter.MinFilter(3)).convert("1")


def _compose(tiles: list[Image.Image]) -> Image.Image:
    width, height = tiles[0].size
    per_row = _PER_ROW if width == _THUMBNAIL else 4
    sheet = Image.new(tiles[0].mode, (per_row * width, -(-len(tiles) // per_row) * height))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % per_row * width, number // per_row * height))
    return sheet
