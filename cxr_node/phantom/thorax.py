"""Patient anatomy, sampled from adult ranges.

Patient coordinates are millimetres along the axes of PS3.3 section C.7.6.2.1.1: x to the patient's
left, y to the back, z to the head. The origin lies in the midline, at mid-depth of the rib cage, at
the level of the carina.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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


_WIDTH = "303 frontal films, West Afr J Med 2006;25:186-189: 27.8 to 29.6 cm men, 25.1 to 27.1 cm women"
_RATIO = "Nickol and Wade, Br J Radiol 1982;55:399-403: medians 0.43 to 0.46, upper limits 0.50 to 0.53, 1432 men"
_TRACHEA = "Breatnach et al., AJR 1984;142:903-906: coronal 13 to 25 mm men, 10 to 21 mm women"
_AORTA = "Hager et al., J Thorac Cardiovasc Surg 2002;123:1060-1066: arch 27.7 (3.7) to 24.7 (4.0) mm, wider with age"
_SPINE = "1 for the means of Panjabi et al., Spine 1991;16:888-901; spread assumed"
_CLAVICLE = "Yang et al., Biomed Res Int 2017:8149109: 156 (9) mm men, 143 (13) mm women"
_CORTEX = "below the local maxima of 0.9 to 2.6 mm in Holcombe et al., J Anat 2019;235:883-891"
_FILMS = "fitted by eye to public films (Wang et al., CVPR 2017)"

RANGES: Final[Mapping[str, tuple[Range, Range]]] = {
    "thoracic_width_mm": (
        Range(mean=292, deviation=17, low=250, high=335, source=_WIDTH),
        Range(mean=264, deviation=15, low=228, high=305, source=_WIDTH),
    ),
    "thoracic_index": (
        Range(mean=0.60, deviation=0.05, low=0.49, high=0.76, source=_FILMS),
        Range(mean=0.58, deviation=0.05, low=0.48, high=0.74, source=_FILMS),
    ),
    "lung_height_mm": (
        Range(mean=236, deviation=18, low=190, high=280, source=_FILMS),
        Range(mean=212, deviation=17, low=172, high=255, source=_FILMS),
    ),
    "cardiothoracic_ratio": (
        Range(mean=0.445, deviation=0.036, low=0.35, high=0.52, source=_RATIO),
        Range(mean=0.460, deviation=0.036, low=0.36, high=0.53, source=_RATIO),
    ),
    "trachea_width_mm": (
        Range(mean=19.5, deviation=2.3, low=13, high=25, source=_TRACHEA),
        Range(mean=16.5, deviation=2.2, low=10, high=21, source=_TRACHEA),
    ),
    "aorta_width_mm": (
        Range(mean=27.5, deviation=3.2, low=20, high=37, source=_AORTA),
        Range(mean=25.5, deviation=3.0, low=19, high=35, source=_AORTA),
    ),
    "vertebra_scale": (
        Range(mean=1.04, deviation=0.05, low=0.92, high=1.16, source=_SPINE),
        Range(mean=0.96, deviation=0.05, low=0.85, high=1.08, source=_SPINE),
    ),
    "clavicle_length_mm": (
        Range(mean=156, deviation=9, low=134, high=178, source=_CLAVICLE),
        Range(mean=143, deviation=9, low=121, high=164, source=_CLAVICLE),
    ),
    "rib_height_mm": (
        Range(mean=13.2, deviation=1.0, low=10.5, high=16, source=_FILMS),
        Range(mean=11.9, deviation=0.9, low=9.5, high=14.5, source=_FILMS),
    ),
    "rib_cortex_mm": (
        Range(mean=0.80, deviation=0.13, low=0.5, high=1.2, source=_CORTEX),
        Range(mean=0.74, deviation=0.13, low=0.45, high=1.1, source=_CORTEX),
    ),
    "fat_mm": (
        Range(mean=15, deviation=9, low=4, high=45, source=_FILMS),
        Range(mean=18, deviation=9, low=5, high=48, source=_FILMS),
    ),
    "muscle_mm": (
        Range(mean=20, deviation=4, low=11, high=32, source=_FILMS),
        Range(mean=15, deviation=3, low=9, high=25, source=_FILMS),
    ),
    "breast_mm": (
        Range(mean=8, deviation=5, low=2, high=22, source=_FILMS),
        Range(mean=36, deviation=14, low=10, high=72, source=_FILMS),
    ),
}
"""Ranges of men and women with their sources; lengths in mm on the patient, not on the film."""


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
