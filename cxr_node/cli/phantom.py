"""`cxr-node phantom`: synthetic films with ground truth, contact sheets, and generation rate."""

import csv
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFilter

from cxr_node.domain.film_geometry import View
from cxr_node.phantom import compare as comparing
from cxr_node.phantom.dicom import EXAMPLE_TIME
from cxr_node.phantom.film import film, films, measure_rate
from cxr_node.phantom.folder import picture, write
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.truth_types import PhantomFilm

app = typer.Typer(help="Synthetic films of a thorax with known anatomy.", no_args_is_help=True)
_THUMBNAIL = 160
_DRAWING = 256
_PER_ROW = 6


@app.command("films")
def write_films(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    count: Annotated[int, typer.Option(min=1, help="Number of films.")] = 10,
    first: Annotated[int, typer.Option(help="First seed.")] = 1,
    view: Annotated[View, typer.Option(help="PA, AP or LATERAL.")] = View.PA,
    size: Annotated[int, typer.Option(min=128, help="Rows and columns.")] = 1024,
    pathology: Annotated[list[Kind] | None, typer.Option(help="Pathology of every film; repeatable.")] = None,
) -> None:
    """Write films as DICOM, with ground truth and masks in files beside them."""
    pathologies = [Pathology(kind=kind) for kind in pathology or []]
    seeds = range(first, first + count)
    phantoms = films(seeds, views=[view] * count, rows=size, columns=size, pathologies=[pathologies] * count)
    for path in write(phantoms, folder, now=EXAMPLE_TIME):
        typer.echo(path)


@app.command()
def sheet(
    picture_path: Annotated[Path, typer.Argument(help="PNG file to write.")],
    first: Annotated[int, typer.Option(help="First seed.")] = 200,
    rows: Annotated[int, typer.Option(min=1, help="Rows of thumbnails.")] = 4,
    beside: Annotated[Path | None, typer.Option(help="Folder of real films, shown in every second row.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Table of the real films, with columns file and view_position.")
    ] = None,
) -> None:
    """Draw a contact sheet of phantoms, two thirds PA and one third AP, or alternating rows with real films."""
    tiles: list[Image.Image] = []
    real = _real_thumbnails(beside, table, rows // 2 * _PER_ROW) if beside and table else []
    for row in range(rows):
        if real and row % 2:
            tiles += real[row // 2 * _PER_ROW :][:_PER_ROW]
            continue
        phantoms = [
            film(seed=first + row * _PER_ROW + k, view=_view(k), pathology=_pathologies(row, k))
            for k in range(_PER_ROW)
        ]
        tiles += [picture(phantom, _THUMBNAIL) for phantom in phantoms]
    _compose(tiles).save(picture_path, optimize=True)
    typer.echo(picture_path)


@app.command()
def masks(
    picture_path: Annotated[Path, typer.Argument(help="PNG file to write.")],
    seed: Annotated[int, typer.Option(help="Seed.")] = 31,
) -> None:
    """Draw one film of each pathology with its ground truth outlined."""
    tiles = [
        _outlined(film(seed=seed + k, pathology=[Pathology(kind=kind, severity=0.7)])) for k, kind in enumerate(Kind)
    ]
    sheet = _compose([*tiles, _outlined(film(seed=seed + 20))])
    sheet.quantize(64).save(picture_path, optimize=True)
    typer.echo(picture_path)


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of real films.")],
    table: Annotated[Path, typer.Argument(help="Table of the films, with columns file, labels and view_position.")],
    count: Annotated[int, typer.Option(min=2, help="Number of films of each kind.")] = 60,
) -> None:
    """Compare the brightness of real films without findings with that of normal phantoms."""
    groups = []
    for view in (View.PA, View.AP):
        normal = [row for row in _films_of_view(table, view.value) if row["labels"] == "No Finding"]
        names = [row["file"] for row in normal[:: max(1, len(normal) // count)]][:count]
        phantoms = films(range(700, 700 + len(names)), views=[view] * len(names))
        groups.append(
            (
                f"real {view}",
                [np.asarray(_open_grayscale(folder / name)).astype(np.float32) / np.float32(255) for name in names],
            )
        )
        groups.append((f"phantoms {view}", [comparing.brightness_of(phantom) for phantom in phantoms]))
    typer.echo(comparing.table(groups))


@app.command()
def ranges() -> None:
    """Print the ranges of phantom anatomy and their sources."""
    typer.echo(comparing.ranges())


@app.command()
def rate(
    count: Annotated[int, typer.Option(min=1, help="Number of films.")] = 20,
    size: Annotated[int, typer.Option(min=128, help="Rows and columns.")] = 512,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch: Annotated[int, typer.Option(min=1, help="Films per batch.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
) -> None:
    """Measure films generated per second."""
    shares = [range(first, count, processes) for first in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(measure_rate, [range(1)] * processes, *([value] * processes for value in (size, device, batch))))
        start = time.perf_counter()
        cpu_s = sum(pool.map(measure_rate, shares, *([value] * processes for value in (size, device, batch))))
        wall = time.perf_counter() - start
    typer.echo(
        f"{count / wall:.2f} films/s of {size} x {size} on {device} "
        f"({processes} processes, {cpu_s / count:.3f} CPU seconds a film)"
    )


def _view(k: int) -> View:
    return View.PA if k % 3 < 2 else View.AP


def _pathologies(row: int, k: int) -> list[Pathology]:
    """Return a pathology for every third film of a sheet."""
    kinds = list(Kind)
    return [Pathology(kind=kinds[(row + k // 3) % len(kinds)])] if k % 3 == 2 else []


def _real_thumbnails(folder: Path, table: Path, count: int) -> list[Image.Image]:
    """Return thumbnails of the first `count` films of the table, two PA to one AP."""
    files = {view: [row["file"] for row in _films_of_view(table, view)][5::7] for view in ("PA", "AP")}
    names = [files[_view(k)].pop(0) for k in range(count)]
    return [_open_grayscale(folder / name).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS) for name in names]


def _films_of_view(table: Path, view: str) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["view_position"] == view]


def _open_grayscale(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("L")


def _outlined(phantom: PhantomFilm) -> Image.Image:
    image = picture(phantom, _DRAWING).convert("RGB")
    draw = ImageDraw.Draw(image)
    scale = image.width / phantom.p_values.shape[1]
    for name, color in (
        ("right_lung", "cyan"),
        ("left_lung", "cyan"),
        ("heart", "orange"),
        ("right_clavicle", "lime"),
        ("left_clavicle", "lime"),
    ):
        mask = Image.fromarray(phantom.masks[name]).resize(image.size)
        eroded = mask.convert("L").filter(ImageFilter.MinFilter(3)).convert("1")
        edge = Image.composite(Image.new("L", image.size, 0), mask.convert("L"), eroded)
        image.paste(color, mask=edge)
    for line in (phantom.truth.heart_line, phantom.truth.thorax_line):
        if line is not None:
            draw.line([(x * scale, y * scale) for x, y in line], fill="yellow")
    for lesion in phantom.truth.lesions:
        draw.rectangle([edge * scale for edge in lesion.box], outline="red")
        draw.text((4, 4), lesion.pathology.kind.value, fill="red")
    return image


def _compose(tiles: list[Image.Image]) -> Image.Image:
    width, height = tiles[0].size
    per_row = _PER_ROW if width == _THUMBNAIL else 4
    sheet = Image.new(tiles[0].mode, (per_row * width, -(-len(tiles) // per_row) * height))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % per_row * width, number // per_row * height))
    return sheet
