"""Films with readings by radiologists, boxes, scores of a published network, and mined labels.

The table has a row for each film: `set` and `file` say where it lies, `patient` groups films, `rsna` is the reading for
the RSNA Pneumonia Detection Challenge (Shih et al., Radiology: AI 2019) with its boxes, `chexnet_*` the probabilities
of a published CheXNet, `labels` the labels mined by NIH, separated by |.
"""

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.metrics import Floats

FOLDS = 10
NO_FINDING = "No Finding"
OPACITY = "opacity"
NORMAL = "normal"

BOX_UNITS = 1024
"""Boxes are in pixels of a picture of 1024 x 1024, whatever the size of the film."""

SIDE = 512
"""Columns of a reduced film."""
LEAST_SIDE = 256
"""Smaller films show too little."""

_SOFT = "chexnet_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A radiologist's box, in shares of the film's width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFilm:
    """A film and what is known of it.

    `opacity` is the radiologists' reading, None where there is none; `is_read_normal` if they saw nothing else either.
    `soft` holds the published network's probabilities by label, empty where there are none. `is_fair`: chosen without
    regard to the picture. `turns` are the quarter turns to the left that put it upright. `pixel_mm` is the width of a
    pixel of the film reduced to 512 columns.
    """

    path: Path
    patient: str
    view: str
    labels: frozenset[str]
    opacity: bool | None
    is_read_normal: bool
    boxes: tuple[Box, ...]
    soft: dict[str, float]
    is_fair: bool
    pixel_mm: float
    turns: int = 0

    @property
    def fold(self) -> int:
        """Fold of the film's patient, 0 to 9."""
        return int.from_bytes(hashlib.sha256(f"1:{self.patient}".encode()).digest()[:4]) % FOLDS

    @property
    def has_no_finding(self) -> bool:
        """Whether no finding was mined."""
        return self.labels == {NO_FINDING}


def read_table(table: Path, films: Path, *, chosen: str) -> tuple[ReadFilm, ...]:
    """Return the films of the table that teach or judge, each file once, a fairly chosen set first.

    Films of a set that was not chosen fairly count only where a radiologist or the published network read them: their
    mined labels may follow the picture.

    Parameters
    ----------
    table, films
        The table, and the folder with a folder for each set.
    chosen
        Regular expression of the sets that were chosen without regard to the picture.

    Raises
    ------
    ValueError
        If no film of the table is in the folder.
    """
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    rows.sort(key=lambda row: (re.fullmatch(chosen, row["set"]) is None, row["set"], row["file"]))
    read: dict[str, ReadFilm] = {}
    for row in rows:
        path = films / row["set"] / row["file"]
        is_fair = re.fullmatch(chosen, row["set"]) is not None
        if row["file"] in read or not path.is_file() or _width(path) < LEAST_SIDE:
            continue
        film = _film(row, path, is_fair=is_fair)
        if is_fair or film.opacity is not None or film.soft:
            read[row["file"]] = film
    if not read:
        raise ValueError(f"no film of {table} lies in {films}")
    return tuple(read.values())


def pixels_of(film: ReadFilm, side: int) -> Floats:
    """Return a film, upright, reduced or enlarged to (side, side), 0.0 black to 1.0 white."""
    with Image.open(film.path) as picture:
        gray = picture.convert("L")
        if gray.size != (side, side):
            gray = gray.resize((side, side), Image.Resampling.BOX)
        values: npt.NDArray[np.float32] = np.asarray(gray, dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(np.rot90(values, film.turns))


def _width(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.size[0]


def _film(row: dict[str, str], path: Path, *, is_fair: bool) -> ReadFilm:
    soft = {name.removeprefix(_SOFT): value for name, value in row.items() if name.startswith(_SOFT) and value}
    return ReadFilm(
        path=path,
        patient=row["patient"],
        view=row["view_position"],
        labels=frozenset(row["labels"].split("|")),
        opacity=row["rsna"] == OPACITY if row["rsna"] else None,
        is_read_normal=row["rsna"] == NORMAL,
        boxes=tuple(_box(text) for text in row["rsna_boxes_x_y_w_h_of_1024"].split(";") if text.strip()),
        soft={name: float(value) for name, value in soft.items()},
        is_fair=is_fair,
        pixel_mm=float(row["original_pixel_spacing_mm"]) * float(row["original_columns"]) / SIDE,
    )


def _box(text: str) -> Box:
    left, top, width, height = (float(value) / BOX_UNITS for value in text.split())
    return Box(left=left, top=top, width=width, height=height)
