"""Phantom film and its reading, for a page on which a person changes the phantom.

PyTorch is imported where a phantom is rendered and read, and not with this module: the process that serves the page
names what to compute, and has it computed in another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Reading
from cxr_node.phantom.pathology import Ball, Kind, Pathology
from cxr_node.phantom.thorax import Pose

if TYPE_CHECKING:
    from cxr_node.api.reader import ChestReader

SEED = 51
"""The patient of the course (docs/learn)."""
SIZE = 384
"""Rows and columns of a film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonRequest:
    """How the film of the phantom is taken, and the consolidation in its lung; None without one."""

    view: View
    rotation_deg: float
    """Positive: the front turned to the patient's right."""
    breath: float
    """0 after breathing out at rest, 1 at full inspiration."""
    side: Laterality = Laterality.RIGHT
    consolidation: Ball | None = None

    def pathology(self) -> tuple[Pathology, ...]:
        """Return the pathology of the phantom."""
        if self.consolidation is None:
            return ()
        return (Pathology(kind=Kind.CONSOLIDATION, side=self.side, ball=self.consolidation),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A film of the phantom: gray values (0 black to 255 white) row by row, its reading, and the truth.

    `true_ratio` is the cardiothoracic ratio of the phantom on this film. `lesion_share` is the part of the film's
    pixels that the consolidation covers.
    """

    rows: int
    columns: int
    gray: bytes
    reading: Reading
    true_ratio: float
    lesion_share: float


@contextmanager
def open_reader() -> Iterator["ChestReader"]:
    """Open the built-in bundle on one thread of the CPU."""
    import torch

    from cxr_node.api.reader import ChestReader

    torch.set_num_threads(1)
    yield ChestReader()


def take_film(reader: "ChestReader", request: LessonRequest) -> Lesson:
    """Return a film of the phantom with its reading; the same request gives the same film."""
    from cxr_node.phantom.film import film

    phantom = film(
        seed=SEED,
        view=request.view,
        rows=SIZE,
        columns=SIZE,
        pathology=request.pathology(),
        erect=True,
        pose=Pose(breath=request.breath, rotation_deg=request.rotation_deg),
    )
    truth = phantom.truth
    chest_film = reader.read(
        phantom.p_values,
        view=truth.view,
        pixel_spacing_mm=truth.imager_pixel_spacing_mm,
        age_years=int(truth.anatomy.age),
    )
    lesions = [phantom.masks[lesion.mask] for lesion in truth.lesions]
    return Lesson(
        rows=SIZE,
        columns=SIZE,
        gray=np.rint(phantom.p_values / 257).astype(np.uint8).tobytes(),
        reading=chest_film.reading,
        true_ratio=truth.cardiothoracic_ratio or 0.0,
        lesion_share=float(np.mean(lesions[0])) if lesions else 0.0,
    )
