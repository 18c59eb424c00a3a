"""Patient anatomy, sampled from adult ranges.

Patient coordinates are millimetres along the axes of PS3.3 section C.7.6.2.1.1: x to the patient's
left, y to the back, z to the head. The origin lies in the midline, at mid-depth of the rib cage, at
the level of the carina.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

import numpy as np
import numpy.typing as npt


class Sex(StrEnum):
    """Patient's Sex (0010,0040), as far as it shapes a thorax."""

    MALE = "M"
    FEMALE = "F"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A normal distribution truncated at `low` and `high`, and the source of its numbers."""

    mean: float
    deviation: float
    low: float
    high: float
    source: str

    def sample(self, generator: np.random.Generator) -> float:
        """Return one value by rejection sampling, so that values do not accumulate at the ends."""
        value = generator.normal(self.mean, self.deviation)
        while not self.low <= value <= self.high:
            value = generator.normal(self.mean, self.deviation)
        return float(value)


def _load_ranges() -> dict[str, tuple[Range, Range]]:
    tables = tomllib.loads(files(__package__).joinpath("ranges.toml").read_text(encoding="utf-8"))
    return {name: (_range(table, "men"), _range(table, "women")) for name, table in tables.items()}


def _range(table: Mapping[str, Any], group: str) -> Range:
    mean, deviation, low, high = table[group]
    return Range(mean=mean, deviation=deviation, low=low, high=high, source=table["source"])


RANGES: Final[Mapping[str, tuple[Range, Range]]] = _load_ranges()
"""Ranges of men and women with their sources; lengths in mm on the patient, not on the film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Breath and rotation of a patient, another exposure of the same one, and a heart of another width.

    What is None is sampled from the film's seed.
    """

    breath: float | None = None
    """0 at rest after breathing out, 1 full."""
    rotation_deg: float | None = None
    """About the long axis; positive turns the front to the patient's right."""
    exposure: int | None = None
    """Number of an exposure: geometry, centering, rotation, noise and processing are sampled anew for each."""
    heart_scale: float = 1.0
    """Factor of the heart's width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeDeviations:
    """By how many standard deviations, cut at 2.3, single structures of one patient differ from their mean.

    Pairs are the patient's right, then left; `rib_heights` repeats after the eighth rib.
    """

    left_dome_drop: float
    cage_taper: float
    shoulder_slope: float
    mediastinum_width: float
    heart_right_share: float
    heart_height: float
    heart_tilt: float
    aorta_unfolding: float
    aortic_knob_position: float
    aortic_arch_height: float
    vena_cava_position: float
    dome_peaks: tuple[float, float]
    dome_widths: tuple[float, float]
    arm_spread: float
    breast_height: float
    dome_tilt: float
    spine_bend: float
    spine_bend_phase: float
    rib_drop: float
    rib_slope: float
    rib_heights: tuple[float, ...]
    clavicle_tilt: float
    clavicle_asymmetry: float
    clavicle_height: float
    clavicle_curve: float
    clavicle_thickness: float
    shoulder_position: float
    shoulder_height: float
    trachea_deviation: float
    vessel_radius: float
    lung_density_slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientAnatomy:
    """One adult. Lengths are mm; ratios have no unit; angles are radians.

    `shape` holds the deviations of single structures from their mean.
    """

    seed: int
    sex: Sex
    age: float
    thoracic_width_mm: float
    thoracic_index: float
    """Inner depth over inner width of the rib cage."""
    lung_height_mm: float
    """From the apex to the top of the right dome at full inspiration."""
    cardiothoracic_ratio: float
    """Ratio of the model; the true ratio on a film follows from its projection."""
    trachea_width_mm: float
    aorta_width_mm: float
    vertebra_scale: float
    clavicle_length_mm: float
    rib_height_mm: float
    rib_cortex_mm: float
    fat_mm: float
    muscle_mm: float
    breast_mm: float
    inspiration: float
    """0 at rest after breathing out, 1 full."""
    erect: bool
    shape: ShapeDeviations

    @property
    def depth_mm(self) -> float:
        """Inner depth of the rib cage."""
        return self.thoracic_width_mm * self.thoracic_index

    @property
    def inspired_height_mm(self) -> float:
        """Apex to right dome at this breath: the dome rises about a quarter of the lung on expiration."""
        return self.lung_height_mm * (0.76 + 0.24 * self.inspiration)

    @property
    def apex_mm(self) -> float:
        """Height (z) of the lung apices; the carina lies at about the fifth thoracic vertebra."""
        return 0.40 * self.lung_height_mm

    def dome_mm(self, side: int) -> float:
        """Height (z) of a diaphragm's top, `side` -1 right and +1 left, which lies lower by 1 to 2 cm."""
        lower = (13.0 + 6.0 * self.shape.left_dome_drop) if side > 0 else 0.0
        return self.apex_mm - self.inspired_height_mm - lower


_DEVIATIONS = 48
"""Numbers sampled for the shape. Eight are not used; with fewer, later random numbers and every film would change."""


def _shape(normal: list[float]) -> ShapeDeviations:
    return ShapeDeviations(
        left_dome_drop=normal[0],
        cage_taper=normal[1],
        shoulder_slope=normal[2],
        mediastinum_width=normal[3],
        heart_right_share=normal[4],
        heart_height=normal[5],
        heart_tilt=normal[6],
        aorta_unfolding=normal[7],
        aortic_knob_position=normal[8],
        aortic_arch_height=normal[9],
        vena_cava_position=normal[10],
        dome_peaks=(normal[11], normal[12]),
        dome_widths=(normal[13], normal[14]),
        arm_spread=normal[15],
        breast_height=normal[18],
        dome_tilt=normal[19],
        spine_bend=normal[20],
        spine_bend_phase=normal[21],
        rib_drop=normal[22],
        rib_slope=normal[23],
        rib_heights=tuple(normal[24:32]),
        clavicle_tilt=normal[32],
        clavicle_asymmetry=normal[33],
        clavicle_height=normal[34],
        clavicle_curve=normal[35],
        clavicle_thickness=normal[36],
        shoulder_position=normal[37],
        shoulder_height=normal[38],
        trachea_deviation=normal[39],
        vessel_radius=normal[40],
        lung_density_slope=normal[41],
    )


def sample(seed: int, *, erect: bool = True, enlarged_heart: bool = False) -> PatientAnatomy:
    """Return the adult of `seed`; the same seed gives the same person.

    An enlarged heart has a ratio of 0.54 to 0.68, where 0.50 is the upper limit on an erect PA film.
    """
    generator = np.random.default_rng([seed, 1])
    sex = Sex.MALE if generator.random() < 0.5 else Sex.FEMALE
    column = 0 if sex is Sex.MALE else 1
    values = {name: pair[column].sample(generator) for name, pair in RANGES.items()}
    age = float(np.clip(generator.normal(52, 17), 18, 92))
    inspiration = float(np.clip(generator.normal(0.80 if erect else 0.45, 0.18), 0.1, 1.0))
    shape = _shape(np.clip(generator.normal(size=_DEVIATIONS), -2.3, 2.3).tolist())
    if enlarged_heart:
        values["cardiothoracic_ratio"] = float(generator.uniform(0.54, 0.68))
    values["aorta_width_mm"] *= 1.0 + 0.0022 * (age - 50.0)  # the aorta widens with age
    return PatientAnatomy(seed=seed, sex=sex, age=age, inspiration=inspiration, erect=erect, shape=shape, **values)


def rotation(yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    """Return the (3, 3) rotation matrix about z (yaw), then x (pitch), then y (roll); radians."""
    cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    about_y = np.array([[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]])
    turn: npt.NDArray[np.float64] = about_y @ about_x @ about_z
    return turn
