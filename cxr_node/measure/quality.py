"""What limits a film: rotation, inspiration, exposure, what is cut off, motion. Pure."""

from dataclasses import dataclass

import numpy as np

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import LIMITED, UNUSABLE, USABLE
from cxr_node.domain.radiograph import Float32, View
from cxr_node.domain.reading import Appearance
from cxr_node.measure.borders import sides
from cxr_node.measure.densities import Anchors
from cxr_node.measure.grid import Mask, Points
from cxr_node.measure.interfaces import Interface

MOST_ROTATED, ROTATED = 1.0, 0.5
FEWEST_RIBS, SHALLOW_RIBS = 8, 4
"""So many are enough, and so few are too few. Between them nothing is said: outlines miss up to three upper ribs."""
LEAST_CONTRAST, FAINT = 0.06, 0.12
BLACK, WHITE_LUNG = 0.02, 0.75
LEAST_SHARP = 0.28
_MOST_CUT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A code of CID 6044, and what it rests on in words."""

    code: Code
    detail: str


def projection(header: View, appearance: Appearance | None) -> Verdict:
    """Judge the projection: what the header says against what the picture looks like."""
    seen = None if appearance is None else appearance.view
    if appearance is not None and seen is None:
        return Verdict(code=UNUSABLE, detail="the picture does not look like a chest film")
    if seen is not None and header.is_frontal and seen is not header:
        return Verdict(code=LIMITED, detail=f"the header says {header}, the picture looks like {seen}")
    view = header if header.is_frontal else seen
    if view is View.AP:
        return Verdict(code=LIMITED, detail="AP: the heart is magnified")
    if view is View.PA:
        return Verdict(code=USABLE, detail="PA")
    return Verdict(code=LIMITED, detail="projection unknown: whether the heart is magnified is not known")


def rotation(right_clavicle: Mask, left_clavicle: Mask, spine: Mask) -> tuple[float, Points]:
    """Return how unevenly the heads of the clavicles lie about the spine, 0 to 1, and the line between them."""
    right, left = np.flatnonzero(right_clavicle.any(0)), np.flatnonzero(left_clavicle.any(0))
    inner = float(right[-1] + 1), float(left[0])
    heads = [
        float(np.flatnonzero(mask[:, at]).mean()) + 0.5
        for mask, at in ((right_clavicle, right[-1]), (left_clavicle, left[0]))
    ]
    row = round(sum(heads) / 2)
    bone = np.flatnonzero(spine[max(0, row - 4) : row + 5].any(0))
    if not len(bone) or inner[1] <= inner[0]:
        return float("nan"), np.zeros((0, 2))
    middle = float(bone[0] + bone[-1] + 1) / 2
    value = abs((inner[1] - middle) - (middle - inner[0])) / (inner[1] - inner[0])
    return value, np.array([(inner[0], heads[0]), (middle, row), (inner[1], heads[1])], np.float64)


def judge_rotation(value: float) -> Verdict:
    """Judge the rotation of the patient."""
    detail = f"clavicle heads uneven about the spine by {value:.2f} of their distance"
    return Verdict(code=UNUSABLE if value > MOST_ROTATED else LIMITED if value > ROTATED else USABLE, detail=detail)


def ribs_above(lung: Mask, ribs: Mask) -> tuple[float, Points]:
    """Return how many posterior ribs cross the right lung above its dome, and the line they are counted on.

    Counted on level columns of the inner two thirds of the lung; of these counts the highest that a fifth of the
    columns reach.
    """
    columns = np.flatnonzero(lung.any(0))
    inner = columns[len(columns) // 3 :]
    if not len(inner):
        return float("nan"), np.zeros((0, 2))
    crossed = np.pad((ribs & lung)[:, inner], ((1, 0), (0, 0)))
    counts = np.count_nonzero(crossed[1:] & ~crossed[:-1], axis=0)
    count = float(np.percentile(counts, 80, method="lower"))
    column = int(inner[int(np.argmin(np.abs(counts - count)))])
    rows = np.flatnonzero(lung[:, column])
    return count, np.array([(column + 0.5, rows[0]), (column + 0.5, rows[-1] + 1)], np.float64)


def judge_inspiration(count: float) -> Verdict | None:
    """Judge the depth of breath; None where the count does not tell."""
    if SHALLOW_RIBS < count < FEWEST_RIBS:
        return None
    return Verdict(
        code=USABLE if count >= FEWEST_RIBS else LIMITED, detail=f"{count:.0f} posterior ribs above the diaphragm"
    )


def judge_exposure(scale: Anchors) -> Verdict:
    """Judge exposure and processing by how far lung and heart lie apart, and from black and white."""
    step = scale.heart - scale.lung
    detail = f"lung {scale.lung:.2f}, heart {scale.heart:.2f} of the gray scale"
    if step < LEAST_CONTRAST:
        return Verdict(code=UNUSABLE, detail=f"no contrast: {detail}")
    if step < FAINT or scale.lung < BLACK or scale.lung > WHITE_LUNG:
        return Verdict(code=LIMITED, detail=detail)
    return Verdict(code=USABLE, detail=detail)


def judge_field(cut: tuple[str, ...]) -> Verdict:
    """Judge whether the whole of both lungs is on the film; `cut` names the sides at which it is not."""
    if not cut:
        return Verdict(code=USABLE, detail="both lungs whole")
    code = UNUSABLE if len(cut) >= _MOST_CUT else LIMITED
    return Verdict(code=code, detail=f"lung cut off at the {', '.join(cut)}")


def sharpness(brightness: Float32, dome: Interface) -> float:
    """Return which share of the step over a dome lies within 2 pixels on either side of its line, in the middle."""
    inner, outer = sides(brightness, dome, 1, 2), sides(brightness, dome, 8, 10)
    whole = outer[0] - outer[1]
    steep = (inner[0] - inner[1])[whole > 0.02] / whole[whole > 0.02]
    return float(np.median(steep)) if len(steep) else float("nan")


def judge_motion(value: float) -> Verdict:
    """Judge whether the diaphragm moved, or the film is blurred."""
    detail = f"{value:.2f} of the step over the diaphragm within 4 pixels of 512"
    return Verdict(code=USABLE if value >= LEAST_SHARP else LIMITED, detail=detail)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the judgement of the film: that of its worst part, with everything that limits it."""
    rank = {USABLE: 0, LIMITED: 1, UNUSABLE: 2}
    limits = [verdict.detail for verdict in verdicts if verdict.code != USABLE]
    code = max((verdict.code for verdict in verdicts), key=lambda each: rank[each], default=LIMITED)
    return Verdict(code=code, detail="; ".join(limits))
