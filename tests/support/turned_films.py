"""Turned and mirrored copies of a film whose header says so, and readings of films by the built-in bundle."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset

from cxr_node import pipeline
from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.store import film_key
from cxr_node.domain.film import Film
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import derive_uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Laterality, Point, Reading
from cxr_node.infer.reader import Reader
from cxr_node.phantom.dicom import EXAMPLE_TIME, dataset
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Kind, Pathology, Zone
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext, ReadRules
from tests.support.built_in import built_in_bundle
from tests.support.node import received
from tests.support.queue import SENDER

ROWS, COLUMNS = 300, 280
_DIRECTIONS = {(1, 0): "L", (-1, 0): "R", (0, 1): "F", (0, -1): "H"}
"""Directions on the upright film, as (column, row)."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A film mirrored left to right, if at all, and then turned counterclockwise by quarter turns."""

    mirrored: bool
    quarter_turns: int

    def pixels(self, upright: np.ndarray) -> np.ndarray:
        """Return the pixels of the turned film."""
        return np.rot90(upright[:, ::-1] if self.mirrored else upright, self.quarter_turns)

    def point(self, point: Point) -> Point:
        """Return where a point of the upright film of 300 rows and 280 columns lies on the turned one."""
        (column, row), width, height = point, COLUMNS, ROWS
        if self.mirrored:
            column = width - column
        for _ in range(self.quarter_turns):
            column, row, width, height = row, width - column, height, width
        return column, row

    def patient_orientation(self) -> tuple[str, str]:
        """Return the directions of rows and columns of the turned film."""
        origin = self.point((0.0, 0.0))
        towards = {
            tuple(
                round(end - start) for start, end in zip(origin, self.point((float(right), float(down))), strict=True)
            ): name
            for (right, down), name in _DIRECTIONS.items()
        }
        return towards[1, 0], towards[0, 1]


ALL = tuple(Turned(mirrored, turns) for mirrored in (False, True) for turns in range(4))


@cache
def upright() -> Dataset:
    """Return a PA phantom of 300 rows and 280 columns with a consolidation of the right lung."""
    torch.set_num_threads(1)
    filled = Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=Zone.MIDDLE, severity=0.95)
    return dataset(film(seed=21, view=View.PA, rows=ROWS, columns=COLUMNS, pathology=[filled]), now=EXAMPLE_TIME)


def turned_copy(turn: Turned, orientation: Sequence[str], **changes: object) -> Dataset:
    """Return the upright phantom turned, with this Patient Orientation and other changes of its header."""
    out = copy.deepcopy(upright())
    pixels = turn.pixels(out.pixel_array)
    out.PixelData = np.ascontiguousarray(pixels).astype("<u2").tobytes()
    out["PixelData"].VR = "OW"
    out.Rows, out.Columns = pixels.shape
    out.PatientOrientation = list(orientation)
    for keyword, value in changes.items():
        setattr(out, keyword, value)
    out.SOPInstanceUID = derive_uid("turned", repr(turn), repr(orientation), repr(changes))
    out.file_meta.MediaStorageSOPInstanceUID = out.SOPInstanceUID
    return out


@cache
def built_in() -> Reader:
    """Return the built-in bundle on the CPU."""
    torch.set_num_threads(1)
    return Reader(built_in_bundle(), device="cpu")


def film_row(instance: Instance) -> Film:
    """Return the row of a received film."""
    return Film(
        film_id=1,
        study_id=1,
        identity=instance.identity,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        digest=instance.digest,
        archive_key=film_key(instance.digest),
        sender=SENDER,
        received_at=EXAMPLE_TIME,
        is_original=True,
    )


def read_films(films: Sequence[Dataset], folder: Path, rules: Rules | None = None) -> list[Reading]:
    """Return the reading of each film by the main path with the built-in bundle."""
    archive = FolderArchive(folder)
    rows = []
    for instance in map(received, films):
        rows.append(film_row(instance))
        archive.put(rows[-1].archive_key, instance.content)
    context = ReadContext(archive=archive, rules=ReadRules(gate=rules or Rules(), limits=Limits()))
    return pipeline.read(rows, executor=InProcess(context), network=built_in())
