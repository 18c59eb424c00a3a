"""Measurements of phantoms against their truth, and "not measurable" where there can be no value."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import WHITE, Radiograph
from cxr_node.domain.reading import Appearance, Laterality, Measurement, Observation, Region, Structure
from cxr_node.measure import borders, quality
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Kind, Pathology, Zone
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.phantom_outlines import radiograph, structures

_MIDDLE_LOBE = Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=Zone.MIDDLE, severity=0.95)
_PACEMAKER = Pathology(kind=Kind.PACEMAKER, side=Laterality.LEFT)


@cache
def phantom_film(seed: int, view: View = View.PA, *pathology: Pathology) -> PhantomFilm:
    torch.set_num_threads(1)
    return film(seed=seed, view=view, rows=256, columns=256, pathology=pathology)


def measured(phantom: PhantomFilm) -> FilmMeasurements:
    return measure_film(radiograph(phantom), structures(phantom))


def measurement(result: FilmMeasurements, key: str) -> Measurement:
    return next(value for value in result.measurements if value.key == key)


def observation(result: FilmMeasurements, key: str) -> Observation:
    return next(value for value in result.observations if value.key == key)


def without(outlined: Sequence[Structure], *parts: Anatomy) -> tuple[Structure, ...]:
    return tuple(
        replace(structure, regions=(), confidence=0.0) if structure.key in parts else structure
        for structure in outlined
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("view", [View.PA, View.AP])
def test_the_cardiothoracic_ratio_is_that_of_the_phantom(seed: int, view: View) -> None:
    phantom = phantom_film(seed, view)
    truth = phantom.truth

    result = measured(phantom)

    assert truth.cardiothoracic_ratio is not None
    assert truth.heart_line is not None
    assert measurement(result, "CTR").value == pytest.approx(truth.cardiothoracic_ratio, abs=0.02)
    (left, _), (right, _) = measurement(result, "MTCD").line
    assert (left, right) == pytest.approx((truth.heart_line[0][0], truth.heart_line[1][0]), abs=3)


@pytest.mark.slow
def test_lengths_are_in_mm_and_name_the_source_of_the_spacing() -> None:
    phantom = phantom_film(11)
    (left, _), (right, _) = measurement(measured(phantom), "MITD").line

    width = measurement(measured(phantom), "MITD")

    assert width.unit == concepts.MILLIMETER
    assert width.value == pytest.approx((right - left) * phantom.truth.imager_pixel_spacing_mm, rel=1e-3)
    assert "at the detector" in width.provenance


@pytest.mark.slow
def test_without_spacing_there_are_ratios_and_angles_but_no_mm() -> None:
    result = measure_film(radiograph(phantom_film(11), spacing=False), structures(phantom_film(11)))

    assert measurement(result, "CTR").value > 0
    assert not {value.unit for value in result.measurements} & {concepts.MILLIMETER, concepts.SQUARE_CENTIMETER}
    assert observation(result, "MTCD/not_measurable").detail == "the film states no pixel spacing"


def spaced(mm: float) -> tuple[Radiograph, tuple[Structure, ...]]:
    """Return a film of pixels of a size, on which the thorax is about 150 of them wide."""
    picture = radiograph(phantom_film(11))
    assert picture.geometry.spacing is not None
    spacing = replace(picture.geometry.spacing, row_mm=mm, column_mm=mm)
    return replace(picture, geometry=replace(picture.geometry, spacing=spacing)), structures(phantom_film(11))


@pytest.mark.slow
@pytest.mark.parametrize("mm", [0.3, 0.8, 5.0])
def test_an_impossible_spacing_on_an_adults_film_leaves_out_lengths_only(mm: float) -> None:
    expected, result = measured(phantom_film(11)), measure_film(*spaced(mm), is_adult=True)

    assert measurement(result, "CTR").value == measurement(expected, "CTR").value
    assert (
        measurement(result, "clarity/right_heart_border").value
        == measurement(expected, "clarity/right_heart_border").value
    )
    assert not {value.unit for value in result.measurements} & {concepts.MILLIMETER, concepts.SQUARE_CENTIMETER}
    for key in ("MTCD", "MITD", "heart_area", "lung_area/right", "tracheal_deviation", "mediastinal_width"):
        detail = observation(result, f"{key}/not_measurable").detail
        assert detail.startswith("by the film's pixel spacing the thorax would be ")
        assert detail.endswith(" mm wide")


@pytest.mark.slow
def test_a_spacing_too_large_for_any_age_leaves_out_lengths() -> None:
    result = measure_film(*spaced(5.0))

    assert measurement(result, "CTR").value > 0
    assert "would be" in observation(result, "MITD/not_measurable").detail


@pytest.mark.slow
def test_the_trachea_line_ends_at_the_trachea() -> None:
    phantom = phantom_film(12)
    rows, columns = np.nonzero(phantom.masks["trachea"])
    (_, _), (column, row) = measurement(measured(phantom), "tracheal_deviation").line

    level = columns[np.abs(rows - row) < 3]

    assert column == pytest.approx(level.mean() + 0.5, abs=3 / phantom.truth.imager_pixel_spacing_mm)


@pytest.mark.slow
def test_a_filled_middle_lobe_obscures_the_right_heart_border() -> None:
    clear, filled = measured(phantom_film(21)), measured(phantom_film(21, View.PA, _MIDDLE_LOBE))

    assert observation(clear, "border/right_heart_border").code == concepts.CLEAR
    obscured = observation(filled, "border/right_heart_border")
    assert obscured.code == concepts.OBSCURED
    assert obscured.site == concepts.MIDDLE_LOBE
    assert observation(filled, "border/left_heart_border").code == concepts.CLEAR
    assert (
        measurement(filled, "clarity/right_heart_border").value < measurement(clear, "clarity/right_heart_border").value
    )


@pytest.mark.slow
def test_a_filled_zone_is_denser_than_the_same_zone_clear() -> None:
    clear, filled = measured(phantom_film(21)), measured(phantom_film(21, View.PA, _MIDDLE_LOBE))

    for key in ("share_soft/right_lower", "density/right_lower"):
        assert measurement(filled, key).value > measurement(clear, key).value
    assert measurement(filled, "asymmetry/lower").value < measurement(clear, "asymmetry/lower").value


@pytest.mark.slow
def test_the_shares_of_a_zone_add_up_to_100_percent() -> None:
    result = measured(phantom_film(13))

    for side in ("right", "left"):
        for zone in ("upper", "middle", "lower"):
            shares = [share.value for share in result.measurements if share.key.endswith(f"/{side}_{zone}")]
            assert sum(shares[:5]) == pytest.approx(100, abs=0.1)


@pytest.mark.slow
def test_a_pacemaker_is_a_device_and_a_lead_letter_is_none() -> None:
    torch.set_num_threads(1)
    phantom = film(seed=4_200_018, pathology=[_PACEMAKER])

    objects = [metal for metal in measured(phantom).observations if metal.code == concepts.METAL]

    devices = [metal for metal in objects if metal.value == concepts.DEVICE]
    can = phantom.masks[phantom.truth.lesions[0].mask]
    assert any(can[round(row), round(column)] for device in devices for column, row in [_center(device.regions[0])])
    assert any(metal.value == concepts.MARKER for metal in objects)


@pytest.mark.slow
@pytest.mark.parametrize("inset", [0, 4])
@pytest.mark.parametrize("edges", ["top", "bottom", "left", "right", "all"])
def test_a_bright_border_of_the_film_is_no_metal(edges: str, inset: int) -> None:
    phantom = phantom_film(11)
    framed = phantom.p_values.copy()
    inner = framed[inset:-inset] if inset else framed
    inner = inner[:, inset:-inset] if inset else inner
    for edge, turns in (("top", 0), ("right", 1), ("bottom", 2), ("left", 3)):
        if edges in (edge, "all"):
            np.rot90(inner, turns)[0] = WHITE
    film = replace(radiograph(phantom), p_values=framed)

    result = measure_film(film, structures(phantom))

    metal = [one.regions for one in result.observations if one.code == concepts.METAL]
    assert metal == [one.regions for one in measured(phantom).observations if one.code == concepts.METAL]


@pytest.mark.slow
def test_observations_state_whether_outlined_or_derived() -> None:
    result = measured(phantom_film(11))

    heart, border = observation(result, "seen/heart"), observation(result, "seen/left_heart_border_line")
    assert (heart.code, heart.provenance, heart.confidence) == (concepts.SEEN, "outlined by the model", 0.9)
    assert border.code == concepts.SEEN
    assert border.provenance.startswith("derived: ")
    assert len(border.line) > 10
    assert len([value for value in result.observations if value.key.startswith("seen/")]) == 27


@pytest.mark.slow
def test_a_seen_structure_has_a_simplified_line_around_it() -> None:
    phantom = phantom_film(11)

    heart = observation(measured(phantom), "seen/heart")

    assert not heart.regions
    assert heart.line[0] == heart.line[-1]
    (outline,) = [part.regions[0].outline for part in structures(phantom) if part.key == Anatomy.HEART]
    assert set(heart.line) <= set(outline)
    assert len(heart.line) == 40 < len(outline)


@pytest.mark.slow
def test_a_structure_without_outline_is_not_seen_nor_its_derived_lines() -> None:
    phantom = phantom_film(11)

    result = measure_film(radiograph(phantom), without(structures(phantom), Anatomy.TRACHEA))

    assert observation(result, "seen/trachea").code == concepts.NOT_SEEN
    assert observation(result, "seen/carina").code == concepts.NOT_SEEN
    assert observation(result, "tracheal_deviation/not_measurable").detail == "no trachea outlined"


@pytest.mark.slow
def test_an_ap_film_notes_that_the_heart_is_magnified() -> None:
    result = measured(phantom_film(12, View.AP))

    assert "magnified" in measurement(result, "CTR").provenance
    assert observation(result, "quality/qprojection").value == concepts.LIMITED
    assert observation(measured(phantom_film(12)), "quality/qprojection").value == concepts.USABLE


@pytest.mark.slow
def test_a_header_that_contradicts_the_picture_limits_the_film() -> None:
    phantom = phantom_film(12)
    like_ap = Appearance(view=View.AP, score=0.97, distance=1.0, limit=9.0)

    result = measure_film(radiograph(phantom), structures(phantom), like_ap)

    verdict = observation(result, "quality/qprojection")
    assert (verdict.value, verdict.detail) == (concepts.LIMITED, "the header says PA, the picture looks like AP")
    assert observation(result, "quality/111050").value == concepts.LIMITED


@pytest.mark.slow
def test_a_blurred_film_is_less_sharp_and_limited() -> None:
    phantom = phantom_film(11)
    sharp = radiograph(phantom)
    kernel = np.ones(13) / 13
    soft = phantom.p_values.astype(np.float64)
    for axis in (0, 1):
        soft = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, soft)
    blurred = replace(sharp, p_values=soft.astype(np.uint16))

    before, after = (measure_film(picture, structures(phantom)) for picture in (sharp, blurred))

    assert measurement(after, "sharpness").value < measurement(before, "sharpness").value
    assert observation(after, "quality/qmotion").value == concepts.LIMITED


@pytest.mark.slow
def test_a_lung_that_leaves_the_film_limits_it() -> None:
    phantom = phantom_film(11)
    lungs = phantom.masks["right_lung"] | phantom.masks["left_lung"]
    top = int(np.flatnonzero(lungs.any(1))[0]) + 24
    cut = replace(
        phantom, p_values=phantom.p_values[top:], masks={name: mask[top:] for name, mask in phantom.masks.items()}
    )
    square = replace(
        phantom,
        p_values=np.pad(cut.p_values, ((0, top), (0, 0)), mode="edge"),
        masks={name: np.pad(mask, ((0, top), (0, 0))) for name, mask in cut.masks.items()},
    )

    verdict = observation(measured(square), "quality/qfield")

    assert (verdict.value, verdict.detail) == (concepts.LIMITED, "lung cut off at the top")


@pytest.mark.slow
def test_a_mirrored_film_gives_the_same_numbers_at_mirrored_places() -> None:
    phantom = phantom_film(12)
    width = phantom.p_values.shape[1]
    flipped = replace(
        phantom,
        p_values=np.ascontiguousarray(phantom.p_values[:, ::-1]),
        masks={name: np.ascontiguousarray(mask[:, ::-1]) for name, mask in phantom.masks.items()},
    )

    straight, mirrored = (
        measurement(measured(phantom), "tracheal_deviation"),
        measurement(measured(flipped), "tracheal_deviation"),
    )

    assert mirrored.value == pytest.approx(straight.value, abs=0.4)
    assert mirrored.line[0][0] == pytest.approx(width - straight.line[0][0], abs=1.0)


@pytest.mark.slow
def test_fragments_of_a_heart_do_not_change_its_measurement() -> None:
    phantom = phantom_film(11)
    fragment = Region(outline=((2.0, 2.0), (8.0, 2.0), (8.0, 8.0)))
    outlined = tuple(
        replace(structure, regions=(*structure.regions, fragment)) if structure.key == Anatomy.HEART else structure
        for structure in structures(phantom)
    )

    assert (
        measurement(measure_film(radiograph(phantom), outlined), "CTR").value
        == measurement(measured(phantom), "CTR").value
    )


def turned(outlined: Sequence[Structure], size: int) -> tuple[Structure, ...]:
    """Return structures on a film turned by a quarter."""
    return tuple(
        replace(
            structure,
            regions=tuple(
                Region(outline=tuple((row, size - column) for column, row in region.outline))
                for region in structure.regions
            ),
        )
        for structure in outlined
    )


def split(outlined: Sequence[Structure], part: Anatomy) -> tuple[Structure, ...]:
    """Return structures of which one is outlined as two boxes."""
    boxes = (
        Region(outline=((60.0, 60.0), (110.0, 60.0), (110.0, 110.0), (60.0, 110.0))),
        Region(outline=((60.0, 130.0), (110.0, 130.0), (110.0, 180.0), (60.0, 180.0))),
    )
    return tuple(replace(structure, regions=boxes) if structure.key == part else structure for structure in outlined)


def unusable(kind: str) -> tuple[Radiograph, tuple[Structure, ...]]:
    phantom = phantom_film(11)
    picture, outlined = radiograph(phantom), structures(phantom)
    match kind:
        case "nothing outlined":
            return picture, ()
        case "empty outlines":
            return picture, without(outlined, *Anatomy)
        case "one lung":
            return picture, without(outlined, Anatomy.LEFT_LUNG)
        case "no heart":
            return picture, without(outlined, Anatomy.HEART)
        case "split heart":
            return picture, split(outlined, Anatomy.HEART)
        case "turned":
            return replace(picture, p_values=np.rot90(picture.p_values).copy()), turned(outlined, 256)
        case "child":
            return spaced(0.8)
        case _:
            outlines = tuple(
                replace(
                    structure,
                    regions=tuple(
                        Region(outline=tuple((x, 256 - y) for x, y in region.outline)) for region in structure.regions
                    ),
                )
                for structure in outlined
            )
            return replace(picture, p_values=picture.p_values[::-1].copy()), outlines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nothing outlined", "no heart outlined"),
        ("empty outlines", "no heart outlined"),
        ("one lung", "no left lung outlined"),
        ("no heart", "no heart outlined"),
        ("split heart", "heart outlined in two parts"),
        ("turned", "the film or the patient lies askew"),
        ("child", "the thorax is smaller than an adult's"),
        ("upside down", "the film lies upside down"),
    ],
)
def test_bad_input_is_not_measurable_with_the_reason_and_never_a_number(kind: str, reason: str) -> None:
    result = measure_film(*unusable(kind))

    assert observation(result, "CTR/not_measurable").detail == reason
    assert observation(result, "densities/not_measurable").detail == reason
    keys = {value.key for value in result.measurements}
    assert not keys & {"CTR", "MTCD", "mediastinal_width", "heart_area"}
    assert not [key for key in keys if key.startswith(("share", "clarity"))]
    assert not {value.code for value in result.observations} & {concepts.CLEAR, concepts.OBSCURED}


def test_a_film_without_contrast_has_proportions_but_no_densities() -> None:
    phantom = phantom_film(11)
    flat = replace(radiograph(phantom), p_values=np.full_like(phantom.p_values, 30_000))

    result = measure_film(flat, structures(phantom))

    assert measurement(result, "CTR").value > 0
    assert observation(result, "densities/not_measurable").detail == "lung and heart are equally bright"
    assert observation(result, "quality/qexposure").value == concepts.UNUSABLE
    assert observation(result, "quality/111050").value == concepts.UNUSABLE


def _center(region: Region) -> tuple[float, float]:
    columns, rows = zip(*region.outline, strict=True)
    return sum(columns) / len(columns), sum(rows) / len(rows)


@pytest.mark.slow
def test_a_base_that_the_film_cuts_off_is_not_measured() -> None:
    phantom = phantom_film(11)
    lungs = phantom.masks["right_lung"] | phantom.masks["left_lung"]
    size = len(lungs)
    bottom = int(np.flatnonzero(lungs.any(1))[-1]) - 24
    cut = replace(
        phantom,
        p_values=np.pad(phantom.p_values[:bottom], ((size - bottom, 0), (0, 0))),
        masks={name: np.pad(mask[:bottom], ((size - bottom, 0), (0, 0))) for name, mask in phantom.masks.items()},
    )

    result = measured(cut)

    reason = "the lung is cut off at the bottom of the film"
    assert observation(result, "clarity/right_hemidiaphragm/not_measurable").detail == reason
    assert observation(result, "costophrenic_angle/right/not_measurable").detail == reason
    assert observation(result, "quality/qfield").detail == "lung cut off at the bottom"


def test_inspiration_is_judged_only_on_a_conclusive_count_of_ribs() -> None:
    enough, unsure, few = (quality.judge_inspiration(count) for count in (8.0, 6.0, 4.0))

    assert enough is not None
    assert few is not None
    assert (enough.code, few.code) == (concepts.USABLE, concepts.LIMITED)
    assert unsure is None


@pytest.mark.slow
def test_a_border_beside_its_outline_keeps_its_clarity() -> None:
    phantom = phantom_film(12)
    moved = tuple(
        replace(
            structure,
            regions=tuple(
                Region(outline=tuple((x - 1.0, y) for x, y in region.outline)) for region in structure.regions
            ),
        )
        for structure in structures(phantom)
    )

    exact, beside = (
        measurement(measure_film(radiograph(phantom), outlined), "clarity/right_heart_border").value
        for outlined in (structures(phantom), moved)
    )

    assert beside == pytest.approx(exact, rel=0.25)
    assert exact > borders.lowest_clarity(View.PA)[Border.RIGHT_HEART_BORDER]
