"""NIH ChestX-ray14 films and their labels, split by patient."""

import argparse
import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, Geometry, Radiograph, View
from cxr_node.infer.prepare import Frame, prepare
from training.metrics import Bools, Floats

OPACITY_LABELS = frozenset({"Pneumonia", "Infiltration", "Consolidation", "Edema"})
"""A film with any of these shows a lung opacity."""

NO_FINDING = frozenset({"No Finding"})
"""A film with this label alone shows none. Films with other labels only are left out: they may or may not."""

FINDINGS = {"lung_opacity": OPACITY_LABELS, "pleural_effusion": frozenset({"Effusion"})}
"""What is learned, and the mined labels that say so. A film without any of them counts as without the finding."""

BINS = 10
"""Patients are dealt into this many bins; a member's test bins, validation bin and training bins are made of them."""

MEMBERS = 5

_COLUMNS = {
    "file": ("file", "Image Index"),
    "labels": ("labels", "Finding Labels"),
    "view": ("view_position", "View Position"),
    "patient": ("patient", "Patient ID"),
    "age": ("age", "Patient Age"),
    "sex": ("sex", "Patient Gender", "Patient Sex"),
}
"""What a column may be called: in a reduced table, and in NIH's Data_Entry_2017 table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFilm:
    """One film of the table. `opacity` is the finding to be learned; age in years."""

    path: Path
    patient: str
    view: View
    age: float
    sex: str
    labels: frozenset[str]
    opacity: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Films by what they are for; no patient is in two of the three."""

    train: tuple[LabelledFilm, ...]
    validation: tuple[LabelledFilm, ...]
    test: tuple[LabelledFilm, ...]


def read_table(table: Path, films: Path, *, only: Path | None = None) -> tuple[LabelledFilm, ...]:
    """Return the films of `table` that lie in `films` and either show an opacity or nothing, by file name.

    `only` is a file with one file name a line: others are left out.

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
    wanted = [row for row in rows if listed is None or row["file"] in listed]
    found = [_labelled(row, films) for row in wanted if (films / row["file"]).is_file()]
    kept = tuple(sorted((film for film in found if film is not None), key=lambda film: film.path.name))
    if not kept:
        raise ValueError(f"no film of {table} with a usable label lies in {films}")
    return kept


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which films, and how many threads, to a command line."""
    parser.add_argument("--films", type=Path, required=True, help="folder of NIH films")
    parser.add_argument("--table", type=Path, required=True, help="NIH's Data_Entry_2017 table, or one reduced")
    parser.add_argument("--only", type=Path, help="file with one film's name a line: leave out all others")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, weights and figures")
    parser.add_argument("--seed", type=int, default=1, help="decides the split and all chance")
    parser.add_argument("--threads", type=int, default=1)


def split(films: tuple[LabelledFilm, ...], *, member: int, seed: int) -> Split:
    """Return the films of one member of the ensemble: 2 bins test, 1 validation, 7 train.

    The bin of a patient follows from the patient's number and the seed alone, so adding or losing films moves nobody.
    Over the members every bin is test exactly once.
    """
    test = {2 * member, 2 * member + 1}
    validation = {(2 * member + 2) % BINS}
    bins = [(film, bin_of(film.patient, seed=seed)) for film in films]
    return Split(
        train=tuple(film for film, number in bins if number not in test | validation),
        validation=tuple(film for film, number in bins if number in validation),
        test=tuple(film for film, number in bins if number in test),
    )


def bin_of(patient: str, *, seed: int) -> int:
    """Return the bin, 0 to 9, that a patient is dealt into."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8]) % BINS


def load(films: tuple[LabelledFilm, ...], frame: Frame) -> Float32:
    """Return the films prepared as a node prepares them, shape (films, rows, columns), 0.0 black to 1.0 white."""
    return np.stack([prepare(radiograph(film.path), frame) for film in tqdm(films, desc="films", unit="film")])


def radiograph(path: Path) -> Radiograph:
    """Return a display-ready 8-bit grayscale picture as a film: value v becomes P-value 257 v."""
    with Image.open(path) as picture:
        values = np.asarray(picture.convert("L"), dtype=np.uint16) * np.uint16(257)
    rows, columns = values.shape
    return Radiograph(
        p_values=values, geometry=Geometry(rows=rows, columns=columns), grayscale="8-bit picture, display-ready"
    )


def balance(films: tuple[LabelledFilm, ...], shown: Bools) -> Floats:
    """Return a weight per film so that, in each view, films with and without the finding weigh the same; mean 1.

    Bedridden patients are filmed AP and are iller: without this a network learns the view for the disease.
    """
    weights = np.ones(len(films))
    for view in {film.view for film in films}:
        of_view = np.array([film.view is view for film in films])
        for group in (of_view & shown, of_view & ~shown):
            weights[group] = of_view.sum() / (2 * max(int(group.sum()), 1))
    return weights


def _column(key: str, present: Sequence[str], table: Path) -> str:
    """Return what column `key` is called in the table."""
    for name in _COLUMNS[key]:
        if name in present:
            return name
    raise ValueError(f"{table} has no column {' or '.join(map(repr, _COLUMNS[key]))}")


def _labelled(row: dict[str, str], films: Path) -> LabelledFilm | None:
    """Return a row of the table as a film, or None where its labels say neither yes nor no."""
    labels = frozenset(row["labels"].split("|"))
    shown = bool(labels & OPACITY_LABELS)
    if not shown and labels != NO_FINDING:
        return None
    return LabelledFilm(
        path=films / row["file"],
        patient=row["patient"],
        view=View(row["view"]),
        age=float(row["age"].rstrip("Y")),
        sex=row["sex"],
        labels=labels,
        opacity=shown,
    )
