"""Measurements of real films against the labels of their collection, and sheets of overlays for visual inspection.

    python -m benchmarks.measure_films FOLDER LABELS.csv --bundle NAME_OR_FOLDER [--unseen] [--sheets FOLDER]

FOLDER holds pictures (PNG); LABELS.csv names them in `file`, with `labels` separated by |, `view_position`, `patient`
and `original_pixel_spacing_mm`, as the list of public films does. The bundle outlines the anatomy. The output has, for
each view: AUC of the cardiothoracic ratio for Cardiomegaly against No Finding, and of each border's clarity and each
zone's density for an opacity against No Finding, with 95 % intervals by resampling patients; also how many films could
not be measured, and why. --unseen keeps only the test patients, on whom no limit was set.

Expected beforehand: with an opacity borders are less clear (AUC below a half), zones denser and softer, and the
asymmetry larger (above a half). "together" is the mean of four numbers, each in standard deviations from its mean on
films without finding of training patients: the edges of both domes and of the left heart border, negated, and the
largest asymmetry. These four were chosen on training patients too.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydicom.dataset import Dataset

from cxr_node.domain.concepts import CLEAR, NOT_MEASURABLE, OBSCURED
from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource, View, ViewSource
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Reading
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.drawing import Drawing
from cxr_node.report.pictures.typeface import typeface_of
from cxr_node.report.source import ReportedFilm
from tests.support import films
from tests.unit.report.studies import identity_of
from training import datasets

_OPACITY = frozenset({"Pneumonia", "Consolidation", "Infiltration", "Edema", "Effusion", "Atelectasis"})
_NORMAL = "No Finding"
_SCORES = ("clarity", "edge", "density", "share_soft", "asymmetry,", "together")
_NORMAL_OF: Mapping[View, Mapping[str, tuple[float, float]]] = {
    View.PA: {
        "edge/right_hemidiaphragm": (0.519, -0.076),
        "edge/left_hemidiaphragm": (0.496, -0.128),
        "edge/left_heart_border": (0.431, -0.066),
        "asymmetry, largest": (0.092, 0.065),
    },
    View.AP: {
        "edge/right_hemidiaphragm": (0.452, -0.100),
        "edge/left_hemidiaphragm": (0.412, -0.145),
        "edge/left_heart_border": (0.387, -0.071),
        "asymmetry, largest": (0.114, 0.078),
    },
}
"""Mean and standard deviation on films without finding of training patients; negative if less means disease."""
_SPLIT_SEED = 1
_TEST_BINS = (0, 1)
_PER_SHEET = 6
_ONE_BYTE = 257

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A film of the collection, and its measurements."""

    file: str
    labels: frozenset[str]
    view: View
    patient: str
    measured: FilmMeasurements

    @property
    def values(self) -> Mapping[str, float]:
        """Values by key, the largest asymmetry of any zone, and the combination of four."""
        values = {measurement.key: measurement.value for measurement in self.measured.measurements}
        asymmetries = [abs(value) for key, value in values.items() if key.startswith("asymmetry")]
        values |= {"asymmetry, largest": max(asymmetries)} if asymmetries else {}
        normal = _NORMAL_OF.get(self.view, {})
        from_normal = [(values[key] - mean) / deviation for key, (mean, deviation) in normal.items() if key in values]
        return values | ({"together": float(np.mean(from_normal))} if from_normal else {})


def radiograph(path: Path, line: Mapping[str, str]) -> Radiograph:
    """Return a picture as a film, with the pixel spacing that its collection states for the original."""
    pixels = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * np.uint16(_ONE_BYTE)
    rows, columns = pixels.shape
    spacing = None
    if line.get("original_pixel_spacing_mm") and line.get("original_columns"):
        original = float(line["original_pixel_spacing_mm"])
        across = original * float(line["original_columns"]) / columns
        down = original * float(line["original_rows"]) / rows
        spacing = PixelSpacing(row_mm=down, column_mm=across, source=SpacingSource.UNSPECIFIED)
    view = {"PA": View.PA, "AP": View.AP}.get(line["view_position"], View.UNKNOWN)
    return Radiograph(
        p_values=pixels,
        geometry=Geometry(rows=rows, columns=columns, spacing=spacing, view=view, view_source=ViewSource.VIEW_POSITION),
        grayscale="as published",
    )


def auc(positive: Float64, negative: Float64) -> float:
    """Return how often a positive exceeds a negative; ties count half."""
    order = np.concatenate([positive, negative])
    _, inverse, counts = np.unique(order, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    count = len(positive)
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * len(negative)))


def interval(rows: Sequence[Row], key: str, positive: Sequence[bool]) -> str:
    """Return a line of the table: AUC of a number with its interval."""
    patients = sorted({row.patient for row in rows})
    films_of = {patient: [k for k, row in enumerate(rows) if row.patient == patient] for patient in patients}
    values = np.array([row.values[key] for row in rows])
    truth = np.asarray(positive)
    if truth.all() or not truth.any():
        return "not both kinds of films"
    generator, resampled = np.random.default_rng(1), []
    for _ in range(500):
        chosen = np.concatenate([films_of[patients[k]] for k in generator.integers(len(patients), size=len(patients))])
        if 0 < truth[chosen].sum() < len(chosen):
            resampled.append(auc(values[chosen][truth[chosen]], values[chosen][~truth[chosen]]))
    low, high = np.percentile(resampled, (2.5, 97.5))
    whole = auc(values[truth], values[~truth])
    return f"{whole:.3f} | {low:.3f} to {high:.3f} | {truth.sum()} | {(~truth).sum()}"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield "| view | number | against no finding | AUC | 95 % interval | with | without |"
    yield "|---|---|---|---|---|---|---|"
    for view in (View.PA, View.AP):
        of_view = [row for row in rows if row.view is view]
        yield from _against(of_view, view, "CTR", "Cardiomegaly", frozenset({"Cardiomegaly"}))
        keys = sorted({key for row in of_view for key in row.values if key.startswith(_SCORES)})
        for key in keys:
            yield from _against(of_view, view, key, "an opacity", _OPACITY)
    yield ""
    reasons = Counter(
        (str(observation.value.meaning), observation.detail)
        for row in rows
        for observation in row.measured.observations
        if observation.code == NOT_MEASURABLE
    )
    yield "| not measurable | reason | films |"
    yield "|---|---|---|"
    for (quantity, reason), count in reasons.most_common():
        yield f"| {quantity} | {reason} | {count} of {len(rows)} |"
    for view in (View.PA, View.AP):
        normal = [row for row in rows if row.view is view and _NORMAL in row.labels]
        if normal:
            yield f"| any border obscured on {view} films without finding | | {_share_obscured(normal)} |"
        obscured = Counter(
            observation.key
            for row in normal
            for observation in row.measured.observations
            if observation.code == OBSCURED
        )
        for key, count in sorted(obscured.items()):
            yield f"| {key} obscured on {view} films without finding | | {count} of {len(normal)} |"


def _share_obscured(rows: Sequence[Row]) -> str:
    """Return how many borders are obscured, and the share with its interval by resampling patients."""
    by_patient: dict[str, list[bool]] = {}
    for row in rows:
        borders = [border for border in row.measured.observations if border.code in (CLEAR, OBSCURED)]
        obscured = [border.code == OBSCURED for border in borders if not border.key.endswith("angle")]
        by_patient.setdefault(row.patient, []).extend(obscured)
    generator, resampled = np.random.default_rng(1), []
    patients = [obscured for obscured in by_patient.values() if obscured]
    for _ in range(500):
        chosen = [patients[k] for k in generator.integers(len(patients), size=len(patients))]
        resampled.append(np.concatenate(chosen).mean())
    low, high = np.percentile(resampled, (2.5, 97.5))
    whole = np.concatenate(patients)
    return f"{whole.sum()} of {len(whole)}, {whole.mean():.1%} ({low:.1%} to {high:.1%})"


def _against(rows: Sequence[Row], view: View, key: str, name: str, labels: frozenset[str]) -> Iterator[str]:
    used = [row for row in rows if key in row.values and (row.labels & labels or _NORMAL in row.labels)]
    positive = [bool(row.labels & labels) for row in used]
    if used:
        yield f"| {view} | {key} | {name} | {interval(used, key, positive)} |"


def with_overlay(film: Radiograph, prediction: Prediction, measured: FilmMeasurements) -> Image.Image:
    """Return a film with its overlay, 512 pixels on the longer side."""
    reading = Reading(
        film=identity_of(films.dx()),
        geometry=film.geometry,
        grayscale=film.grayscale,
        prediction=replace(prediction, findings=()),
        measurements=measured.measurements,
        observations=measured.observations,
    )
    rows, columns = film.p_values.shape
    factor = 512 / max(rows, columns)
    size = round(columns * factor), round(rows * factor)
    picture = Image.fromarray((film.p_values >> 8).astype(np.uint8)).resize(size).convert("RGB")
    drawing = Drawing(film=picture, x=factor, y=factor, typeface=typeface_of(ENGLISH), text=13)
    overlay.draw_anatomy(drawing, ReportedFilm(header=Dataset(), reading=reading), ENGLISH)
    return drawing.finished()


def main() -> None:
    """Measure every film and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--sheets", type=Path, help="folder for sheets of six overlays each")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--unseen", action="store_true", help="only the test patients")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reader = Reader(bundle.load(bundle_registry.find(arguments.bundle)), device="cpu")
    rows: list[Row] = []
    tiles: list[Image.Image] = []
    with arguments.labels.open(newline="", encoding="utf-8") as file:
        for line in list(csv.DictReader(file))[: arguments.limit]:
            if arguments.unseen and datasets.bin_of(line["patient"], seed=_SPLIT_SEED) not in _TEST_BINS:
                continue
            film = radiograph(arguments.folder / line["file"], line)
            (prediction,) = reader.read([film])
            measured = measure_film(film, prediction.structures, prediction.appearance)
            labels = frozenset(line["labels"].split("|"))
            rows.append(
                Row(
                    file=line["file"],
                    labels=labels,
                    view=film.geometry.view,
                    patient=line["patient"],
                    measured=measured,
                )
            )
            if arguments.sheets is not None:
                tiles.append(with_overlay(film, prediction, measured))
    for text in table(rows):
        print(text)
    for number in range(0, len(tiles), _PER_SHEET):
        _sheet(tiles[number : number + _PER_SHEET]).save(arguments.sheets / f"sheet-{number // _PER_SHEET:03}.png")


def _sheet(tiles: Sequence[Image.Image]) -> Image.Image:
    page = Image.new("RGB", (3 * 516, 2 * 516))
    for place, tile in enumerate(tiles):
        page.paste(tile, (place % 3 * 516, place // 3 * 516))
    return page


if __name__ == "__main__":
    main()
