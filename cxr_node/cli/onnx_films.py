"""Films for the proof of equality: DICOM or PNG files, with the scores of another pipeline from CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from cxr_node.cli.terminal import CommandError
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.hanging import hang, orientation_of
from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.pixels import film
from cxr_node.pixels.color import gray_cells
from cxr_node.pixels.decoding import decode_first_frame
from cxr_node.pixels.description import describe
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse

if TYPE_CHECKING:
    from cxr_node.infer.onnx.equality import ScoredFilm

LEAST_FILMS = 3
DISPLAYED = "displayed"
_STORED, _NOT_INVERTED, _STORED_INVERTED, _NOT_TURNED = "stored", "not inverted", "stored, not inverted", "not turned"
OTHER_PICTURES: Mapping[str, str] = {
    _NOT_INVERTED: "MONOCHROME1 films are not inverted",
    _STORED: "the VOI LUT (window) is not applied: stored values over their full range",
    _STORED_INVERTED: "the VOI LUT (window) is not applied, and MONOCHROME1 films are not inverted",
    _NOT_TURNED: "films are not turned by Patient Orientation",
}
"""Pictures that the node does not read, with what they mean."""
_BYTE_TO_P_VALUE = 257
_EXPECTED = "file,label,score"


def read_scores(file: Path) -> dict[str, dict[str, float]]:
    """Return scores by label by file from a CSV file with a header, or from JSON: rows, or scores by label by file.

    Raises
    ------
    CommandError
        If it is neither, or has fewer than three films.
    """
    try:
        content = file.read_text(encoding="utf-8-sig")
        scores = _scores_of(content)
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise CommandError(f"{file}: {error}; expected CSV with the columns {_EXPECTED}, or the same as JSON") from None
    if len(scores) < LEAST_FILMS:
        raise CommandError(f"{file}: scores of {len(scores)} films; expected at least {LEAST_FILMS}")
    return scores


def _scores_of(content: str) -> dict[str, dict[str, float]]:
    if content.lstrip().startswith("{"):
        document = json.loads(content)
        return {name: {label: float(score) for label, score in row.items()} for name, row in document.items()}
    rows: Iterable[Mapping[str, str]] = (
        json.loads(content) if content.lstrip().startswith("[") else csv.DictReader(io.StringIO(content))
    )
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        scores.setdefault(row["file"], {})[row["label"]] = float(row["score"])
    return scores


def read_films(scores: Mapping[str, Mapping[str, float]], folder: Path, limits: Limits) -> "list[ScoredFilm]":
    """Return the films with their pictures.

    Raises
    ------
    CommandError
        If a film cannot be read.
    """
    from cxr_node.infer.onnx.equality import ScoredFilm

    return [
        ScoredFilm(name=name, pictures=_pictures(folder / name, limits), expected=expected)
        for name, expected in scores.items()
    ]


def _pictures(file: Path, limits: Limits) -> dict[str, UInt16]:
    """Return the pictures of a film as P-values; a PNG is the same in all of them."""
    try:
        content = file.read_bytes()
        if content.startswith(b"\x89PNG"):
            picture = _png(content)
            return {DISPLAYED: picture, **dict.fromkeys(OTHER_PICTURES, picture)}
        return _pictures_of_dicom(content, limits)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise CommandError(f"{file}: {error}; expected a DICOM or PNG file") from None
    except GiveUp as error:
        raise CommandError(f"{file}: {error}; expected a DICOM film or a PNG file") from None


def _png(content: bytes) -> UInt16:
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        if picture.mode in ("I;16", "I;16B", "I"):
            deep: UInt16 = np.clip(np.asarray(picture), 0, WHITE).astype(np.uint16)
            return deep
        gray = np.asarray(picture.convert("L"))
    return gray.astype(np.uint16) * np.uint16(_BYTE_TO_P_VALUE)


def _pictures_of_dicom(content: bytes, limits: Limits) -> dict[str, UInt16]:
    """Return a film as displayed, and as pipelines read it that leave out steps."""
    dataset = parse(content, limits=limits)
    as_stored = film.radiograph(dataset, limits=limits)
    displayed = hang(as_stored).p_values
    frame = decode_first_frame(dataset, describe(dataset, limits=limits), limits=limits)
    description = film.as_gray(frame.description)
    stored = stored_values(gray_cells(dataset, frame), description)
    lowest = -(1 << (description.bits_stored - 1)) if description.is_signed else 0
    spread = (1 << description.bits_stored) - 1
    full = np.rint((stored - lowest) * (WHITE / spread)).astype(np.uint16)
    full = np.ascontiguousarray(orientation_of(as_stored.geometry).of_pixels(full))
    is_inverted = description.photometric_interpretation == "MONOCHROME1"
    return {
        DISPLAYED: displayed,
        _NOT_INVERTED: WHITE - displayed if is_inverted else displayed,
        _STORED: WHITE - full if is_inverted else full,
        _STORED_INVERTED: full,
        _NOT_TURNED: as_stored.p_values,
    }
