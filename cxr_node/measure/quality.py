"""Quality criteria of a film: projection, rotation, inspiration, exposure, field, motion. Pure."""

from dataclasses import dataclass

import numpy as np

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import LIMITED, UNUSABLE, USABLE
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Appearance
from cxr_node.measure.borders import sides
from cxr_node.measure.densities import Anchors
from cxr_node.measure.grid import Mask, Points
from cxr_node.measure.interfaces import Interface

MAX_ROTATION, LIMITING_ROTATION = 1.0, 0.5
FEWEST_RIBS, SHALLOW_RIBS = 8, 4
"""Enough from the first up, too few from the second down; between them no verdict: outlines miss up to three ribs."""
MIN_CONTRAST, FAINT = 0.06, 0.12
BLACK, WHITE_LUNG = 0.02, 0.75
MIN_SHARPNESS = 0.28
_MOST_CUT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A code of CID 6044, and the reason in words."""

    code: Code
    detail: str


def projection(header: View, appearance: Appearance | None) -> Verdict:
    """Judge the projection: the view of the header against the view that the network recognises."""
    recognised = None if appearance is None else appearance.view
    if appearance is not None and recognised is None:
        return Verdict(code=LIMITED, detail="the picture may not be a chest film")
    if recognised is not None and header.is_frontal and recognised is not header:
        return Verdict(code=LIMITED, detail=f"the header says {header}, the picture looks like {recognised}")
    view = header if header.is_frontal else recognised
    if view is View.AP:
        return Verdict(code=LIMITED, detail="AP: the heart is magnified")
    if view is View.PA:
        return Verdict(code=USABLE, detail="PA")
    return Verdict(code=LIMITED, detail="projection unknown: whether the heart is magnified is not known")


def rotation(right_clavicle: Mask, left_clavicle: Mask, spine: Mask) -> tuple[float, Points]:
    """Return the asymmetry of the clavicle heads about the spine, 0 to 1, and the line between them."""
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
    return Verdict(
        code=UNUSABLE if value > MAX_ROTATION else LIMITED if value > LIMITING_ROTATION else USABLE, detail=detail
    )


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
    """Judge the depth of inspiration; None if the count is inconclusive."""
    if SHALLOW_RIBS < count < FEWEST_RIBS:
        return None
    return Verdict(
        code=USABLE if count >= FEWEST_RIBS else LIMITED, detail=f"{count:.0f} posterior ribs above the diaphragm"
    )


def judge_exposure(scale: Anchors) -> Verdict:
    """Judge exposure and processing by the contrast of lung and heart, and the lung's distance from black and white."""
    step = scale.heart - scale.lung
    detail = f"lung {scale.lung:.2f}, heart {scale.heart:.2f} of the gray scale"
    if step < MIN_CONTRAST:
        return Verdict(code=UNUSABLE, detail=f"no contrast: {detail}")
    if step < FAINT or scale.lung < BLACK or scale.lung > WHITE_LUNG:
        return Verdict(code=LIMITED, detail=detail)
    return Verdict(code=USABLE, detail=detail)


def judge_field(cut: tuple[str, ...]) -> Verdict:
    """Judge whether both lungs are whole on the film; `cut` lists the sides at which a lung is cut off."""
    if not cut:
        return Verdict(code=USABLE, detail="both lungs whole")
    code = UNUSABLE if len(cut) >= _MOST_CUT else LIMITED
    return Verdict(code=code, detail=f"lung cut off at the {', '.join(cut)}")


def sharpness(brightness: Float32, dome: Interface) -> float:
    """Return the median share of the step across a dome that lies within 2 pixels of its line."""
    inner, outer = sides(brightness, dome, 1, 2), sides(brightness, dome, 8, 10)
    whole = outer[0] - outer[1]
    steep = (inner[0] - inner[1])[whole > 0.02] / whole[whole > 0.02]
    return float(np.median(steep)) if len(steep) else float("nan")


def judge_motion(value: float) -> Verdict:
    """Judge whether the diaphragm moved, or the film is blurred."""
    detail = f"{value:.2f} of the step over the diaphragm within 4 pixels of 512"
    return Verdict(code=USABLE if value >= MIN_SHARPNESS else LIMITED, detail=detail)


def overall(verdicts: list[Verdict]) -> Verdict:
    """Return the overall verdict: the worst of all, with every limiting detail."""
    rank = {USABLE: 0, LIMITED: 1, UNUSABLE: 2}
    limits = [verdict.detail for verdict in verdicts if verdict.code != USABLE]
    code = max((verdict.code for verdict in verdicts), key=lambda code: rank[code], default=LIMITED)
    return Verdict(code=code, detail="; ".join(limits))
