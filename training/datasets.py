"""Dataset: NIH ChestX-ray14 films with labels, split by patient into folds."""

import argparse
import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.infer.prepare import Frame, prepare

OPACITY_LABELS = frozenset({"Pneumonia", "Infiltration", "Consolidation", "Edema"})
"""Labels of a lung opacity."""

NO_FINDING = frozenset({"No Finding"})
"""Label of a negative film. Films with other labels only are left out: they may or may not show an opacity."""

FINDINGS = {"lung_opacity": OPACITY_LABELS, "pleural_effusion": frozenset({"Effusion"})}
"""Finding to its mined labels. A film without any of them is negative."""

BINS = 10
"""Number of bins of patients, from which each fold takes its test, validation and training sets."""

FOLDS = 5

_COLUMNS = {
    "file": ("file", "Image Index"),
    "labels": ("labels", "Finding Labels"),
    "view": ("view_position", "View Position"),
    "patient": ("patient", "Patient ID"),
    "age": ("age", "Patient Age"),
    "sex": ("sex", "Patient Gender", "Patient Sex"),
}
"""Names of a column: in a reduced table, and in NIH's Data_Entry_2017 table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledFilm:
    """One film of the table. `opacity`: positive for lung opacity; age in years."""

    path: Path
    patient: str
    view: View
    age: float
    sex: str
    labels: frozenset[str]
    opacity: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Training, validation and test set; no patient is in two of them."""

    train: tuple[LabeledFilm, ...]
    validation: tuple[LabeledFilm, ...]
    test: tuple[LabeledFilm, ...]


def read_table(table: Path, films: Path, *, only: Path | None = None) -> tuple[LabeledFilm, ...]:
    """Return the films of `table` in the folder `films` that are positive or negative for opacity, by file name.

    `only` is a file with one file name a line; other films are left out.

    Raises
    ------
    ValueError
        If a column is missing, or no film of the table is in the folder.
    """
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        names = {key: _column(key, reader.fieldnames or (), table) for key in _COLUMNS}
        rows = [{key: row[name].strip() for key, name in names.items()} for row in reader]
    listed = None if only is None else frozenset(only.read_text(encoding="utf-8").split())
    selected = [row for row in rows if listed is None or row["file"] in listed]
    labeled = [_labeled_film(row, films) for row in selected if (films / row["file"]).is_file()]
    usable = tuple(sorted((film for film in labeled if film is not None), key=lambda film: film.path.name))
    if not usable:
        raise ValueError(f"no film of {table} with a usable label lies in {films}")
    return usable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for films, seed and threads to a command line."""
    parser.add_argument("--films", type=Path, required=True, help="folder of NIH films")
    parser.add_argument("--table", type=Path, required=True, help="NIH's Data_Entry_2017 table, or one reduced")
    parser.add_argument("--only", type=Path, help="file with one film's name a line: leave out all others")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, weights and figures")
    parser.add_argument("--seed", type=int, default=1, help="seed of the split and of all random numbers")
    parser.add_argument("--threads", type=int, default=1)


def split(films: tuple[LabeledFilm, ...], *, fold: int, seed: int) -> Split:
    """Return the split of one fold: 2 bins test, 1 validation, 7 train.

    The bin of a patient depends on the patient's number and the seed only, so adding or losing films moves no patient.
    Over the folds every bin is in the test set exactly once.
    """
    test = {2 * fold, 2 * fold + 1}
    validation = {(2 * fold + 2) % BINS}
    bins = [(film, bin_of(film.patient, seed=seed)) for film in films]
    return Split(
        train=tuple(film for film, number in bins if number not in test | validation),
        validation=tuple(film for film, number in bins if number in validation),
        test=tuple(film for film, number in bins if number in test),
    )


def bin_of(patient: str, *, seed: int) -> int:
    """Return the bin of a patient, 0 to 9."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8]) % BINS


def load(films: tuple[LabeledFilm, ...], frame: Frame) -> Float32:
    """Return the films prepared as by the node, shape (films, rows, columns), 0.0 black to 1.0 white."""
    return np.stack([prepare(radiograph(film.path), frame) for film in tqdm(films, desc="films", unit="film")])


def radiograph(path: Path) -> Radiograph:
    """Return a display-ready 8-bit grayscale picture as a film: value v becomes P-value 257 v."""
    with Image.open(path) as picture:
        values = np.asarray(picture.convert("L"), dtype=np.uint16) * np.uint16(257)
    rows, columns = values.shape
    return Radiograph(
        p_values=values, geometry=Geometry(rows=rows, columns=columns), grayscale="8-bit picture, display-ready"
    )


def _column(key: str, present: Sequence[str], table: Path) -> str:
    """Return the name of column `key` in the table."""
    for name in _COLUMNS[key]:
        if name in present:
            return name
    raise ValueError(f"{table} has no column {' or '.join(map(repr, _COLUMNS[key]))}")


def _labeled_film(row: dict[str, str], films: Path) -> LabeledFilm | None:
    """Return a row of the table as a film, or None if it is neither positive nor negative."""
    labels = frozenset(row["labels"].split("|"))
    is_positive = bool(labels & OPACITY_LABELS)
    if not is_positive and labels != NO_FINDING:
        return None
    return LabeledFilm(
        path=films / row["file"],
        patient=row["patient"],
        view=View(row["view"]),
        age=float(row["age"].rstrip("Y")),
        sex=row["sex"],
        labels=labels,
        opacity=is_positive,
    )
