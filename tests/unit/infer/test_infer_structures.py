"""Outlines of the anatomy."""

from itertools import pairwise
from typing import cast

import contourpy
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Region, Structure
from cxr_node.infer.polyline import Line
from cxr_node.infer.structures import _parts, structures, window_of

CELLS = 64
FINER = 8
"""Pixels of the film to a cell, each way."""
SIDE = float(CELLS * FINER)
FILM = Region(outline=((0.0, 0.0), (SIDE, 0.0), (SIDE, SIDE), (0.0, SIDE)))
Mask = npt.NDArray[np.bool_]


def ellipse(center: tuple[float, float], radii: tuple[float, float], *, cells: int = CELLS) -> Float32:
    """Return logits above 0 within an ellipse; places are shares of the map, (column, row)."""
    row, column = (np.mgrid[0:cells, 0:cells] + 0.5) / cells
    distance = np.hypot((column - center[0]) / radii[0], (row - center[1]) / radii[1])
    logits: Float32 = (8 * (1 - distance)).astype(np.float32)
    return logits


def drawn(structure: Structure) -> Mask:
    """Return the film's pixels within a structure, by the even-odd rule. A pixel counts by its center."""
    within = np.zeros((int(SIDE), int(SIDE)), np.bool_)
    for region in structure.regions:
        picture = Image.new("1", (int(SIDE), int(SIDE)))
        ImageDraw.Draw(picture).polygon([(column - 0.5, row - 0.5) for column, row in region.outline], fill=1)
        within ^= np.asarray(picture)
    return within


def dice(one: Mask, other: Mask) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def one(logits: Float32, key: Anatomy = Anatomy.HEART, area: Region = FILM) -> Structure:
    (structure,) = structures([key], logits[None], area)
    return structure


@pytest.mark.slow
@settings(max_examples=40)
@given(
    center=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
    radii=st.tuples(st.floats(0.15, 0.4), st.floats(0.15, 0.4)),
)
def test_an_outline_holds_what_the_map_held(center: tuple[float, float], radii: tuple[float, float]) -> None:
    """Also where the structure goes on beyond the edge of the film."""
    truth = ellipse(center, radii, cells=int(SIDE)) > 0

    assert dice(drawn(one(ellipse(center, radii))), truth) > 0.99


def test_outlines_lie_where_cells_have_their_centers() -> None:
    logits = np.full((4, 4), -1.0, np.float32)
    logits[1:3, 1:3] = 1.0
    area = Region(outline=((100.0, 200.0), (500.0, 200.0), (500.0, 1000.0), (100.0, 1000.0)))

    (region,) = one(logits, area=area).regions

    # Between centers of +1 and -1 the outline runs in the middle, which is the border between two cells.
    assert {column for column, _ in region.outline} == {200.0, 250.0, 350.0, 400.0}
    assert {row for _, row in region.outline} == {400.0, 500.0, 700.0, 800.0}


def test_a_structure_that_fills_the_map_is_outlined_by_its_edge() -> None:
    (region,) = one(np.ones((8, 8), np.float32)).regions

    columns, rows = zip(*region.outline, strict=True)
    assert (min(columns), max(columns), min(rows), max(rows)) == (0.0, SIDE, 0.0, SIDE)


def test_what_is_in_one_piece_is_the_largest_part_and_has_no_holes() -> None:
    heart = np.maximum(ellipse((0.4, 0.5), (0.25, 0.3)), ellipse((0.85, 0.8), (0.1, 0.1)))
    hollow = np.minimum(heart, -ellipse((0.4, 0.5), (0.08, 0.08)))

    (region,) = one(hollow).regions

    truth = ellipse((0.4, 0.5), (0.25, 0.3), cells=int(SIDE)) > 0
    assert dice(drawn(Structure(key="heart", confidence=1.0, regions=(region,))), truth) > 0.99


def test_what_may_be_in_pieces_keeps_them_and_its_holes_but_no_specks() -> None:
    ribs = np.maximum(ellipse((0.3, 0.3), (0.2, 0.1)), ellipse((0.7, 0.6), (0.2, 0.2)))
    ribs = np.minimum(ribs, -ellipse((0.7, 0.6), (0.1, 0.1)))
    ribs[2, 2] = 0.01

    decoded = one(ribs, Anatomy.POSTERIOR_RIBS)

    truth = (ellipse((0.3, 0.3), (0.2, 0.1), cells=int(SIDE)) > 0) | (
        (ellipse((0.7, 0.6), (0.2, 0.2), cells=int(SIDE)) > 0) & (ellipse((0.7, 0.6), (0.1, 0.1), cells=int(SIDE)) < 0)
    )
    assert len(decoded.regions) == 3
    assert dice(drawn(decoded), truth) > 0.99


def test_what_both_lungs_claim_belongs_to_the_larger() -> None:
    right, left = ellipse((0.4, 0.5), (0.3, 0.4)), ellipse((0.6, 0.5), (0.3, 0.4))

    decoded = [
        drawn(structure)
        for structure in structures([Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG], np.stack([right, left]), FILM)
    ]

    middle = int(SIDE) // 2
    assert (decoded[0] & decoded[1]).sum() <= 2 * SIDE  # pixels that the border runs through
    assert not decoded[0][:, middle + 1 :].any()
    assert not decoded[1][:, : middle - 1].any()
    assert (
        dice(
            decoded[0] | decoded[1],
            (ellipse((0.4, 0.5), (0.3, 0.4), cells=int(SIDE)) > 0)
            | (ellipse((0.6, 0.5), (0.3, 0.4), cells=int(SIDE)) > 0),
        )
        > 0.99
    )


def test_what_is_not_seen_has_no_outline_and_no_confidence() -> None:
    assert one(np.full((8, 8), -3.0, np.float32)) == Structure(key="heart", confidence=0.0, regions=())


@pytest.mark.parametrize(("logit", "confidence"), [(0.01, 0.5025), (2.0, 0.8808), (90.0, 1.0)])
def test_confidence_is_the_mean_score_inside(logit: float, confidence: float) -> None:
    logits = np.full((32, 32), -5.0, np.float32)
    logits[8:24, 8:24] = logit

    assert one(logits).confidence == pytest.approx(confidence, abs=1e-4)


def test_outlines_have_few_corners_and_stay_near() -> None:
    rough = ellipse((0.5, 0.5), (0.3, 0.3)) + np.random.default_rng(3).normal(0, 0.1, (CELLS, CELLS))
    (region,) = one(rough.astype(np.float32)).regions

    truth = drawn(Structure(key="heart", confidence=1.0, regions=(region,)))
    assert len(region.outline) < 120
    assert dice(truth, ellipse((0.5, 0.5), (0.3, 0.3), cells=int(SIDE)) > 0) > 0.97


def test_structures_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        one(np.full((8, 8), np.nan, np.float32))


def test_a_part_of_an_area_is_in_its_shares() -> None:
    area = Region(outline=((100.0, 200.0), (500.0, 200.0), (500.0, 1000.0), (100.0, 1000.0)))

    assert window_of(area, [0.25, 0.5, 0.75, 1.0]).outline == (
        (200.0, 600.0),
        (400.0, 600.0),
        (400.0, 1000.0),
        (200.0, 1000.0),
    )


def test_outlines_are_those_of_contourpys_own_generator() -> None:
    """The generator is made without its front, which looks for masked values each time."""
    logits = np.stack([ellipse((0.4, 0.5), (0.3, 0.4)), -ellipse((0.5, 0.6), (0.2, 0.1))])
    for field, parts in zip(logits, _parts(list(logits.astype(np.float64))), strict=True):
        framed = np.pad(field.astype(np.float64), 1, mode="edge")
        for edge in (framed[0], framed[-1], framed[:, 0], framed[:, -1]):
            np.negative(np.abs(edge), out=edge)
        own = contourpy.contour_generator(z=framed, fill_type="OuterOffset")
        assert isinstance(own, contourpy.SerialContourGenerator)
        points, offsets = cast("tuple[list[Line], list[npt.NDArray[np.uint32]]]", own.filled(0.0, np.inf))
        lines = [
            part[first : last - 1] - 1 for part, at in zip(points, offsets, strict=True) for first, last in pairwise(at)
        ]

        assert len(lines) == sum(map(len, parts)) > 0
        assert all(
            np.array_equal(one, other)
            for one, other in zip(lines, (line for part in parts for line in part), strict=True)
        )
