"""What is measured on phantoms, whose truth is known, and what is not measured where it cannot be."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.radiograph import Radiograph, View
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
def made(seed: int, view: View = View.PA, *pathology: Pathology) -> PhantomFilm:
    torch.set_num_threads(1)
    return film(seed=seed, view=view, rows=256, columns=256, pathology=pathology)


def read(one: PhantomFilm) -> FilmMeasurements:
    return measure_film(radiograph(one), structures(one))


def number(found: FilmMeasurements, key: str) -> Measurement:
    return next(each for each in found.measurements if each.key == key)


def said(found: FilmMeasurements, key: str) -> Observation:
    return next(each for each in found.observations if each.key == key)


def without(given: Sequence[Structure], *parts: Anatomy) -> tuple[Structure, ...]:
    return tuple(replace(each, regions=(), confidence=0.0) if each.key in parts else each for each in given)


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("view", [View.PA, View.AP])
def test_the_cardiothoracic_ratio_is_that_of_the_phantom(seed: int, view: View) -> None:
    one = made(seed, view)
    truth = one.truth

    found = read(one)

    assert truth.cardiothoracic_ratio is not None
    assert truth.heart_line is not None
    assert number(found, "CTR").value == pytest.approx(truth.cardiothoracic_ratio, abs=0.02)
    (left, _), (right, _) = number(found, "MTCD").line
    assert (left, right) == pytest.approx((truth.heart_line[0][0], truth.heart_line[1][0]), abs=3)


def test_lengths_are_in_mm_of_the_stated_spacing_and_say_whose_it_is() -> None:
    one = made(11)
    (left, _), (right, _) = number(read(one), "MITD").line

    width = number(read(one), "MITD")

    assert width.unit == concepts.MILLIMETER
    assert width.value == pytest.approx((right - left) * one.truth.imager_pixel_spacing_mm, rel=1e-3)
    assert "at the detector" in width.provenance


def test_without_spacing_there_are_ratios_and_angles_but_no_mm() -> None:
    found = measure_film(radiograph(made(11), spacing=False), structures(made(11)))

    assert number(found, "CTR").value > 0
    assert not [each for each in found.measurements if each.unit in (concepts.MILLIMETER, concepts.SQUARE_CENTIMETER)]
    assert said(found, "MTCD/not_measurable").detail == "the film states no pixel spacing"


def spaced(mm: float) -> tuple[Radiograph, tuple[Structure, ...]]:
    """Return a film of pixels of a size, on which the thorax is about 150 of them wide."""
    picture = radiograph(made(11))
    assert picture.geometry.spacing is not None
    spacing = replace(picture.geometry.spacing, row_mm=mm, column_mm=mm)
    return replace(picture, geometry=replace(picture.geometry, spacing=spacing)), structures(made(11))


@pytest.mark.parametrize("mm", [0.3, 0.8, 5.0])
def test_an_adults_film_of_a_spacing_that_cannot_be_has_ratios_and_borders_but_no_lengths(mm: float) -> None:
    sound, found = read(made(11)), measure_film(*spaced(mm), is_adult=True)

    assert number(found, "CTR").value == number(sound, "CTR").value
    assert number(found, "clarity/right_heart_border").value == number(sound, "clarity/right_heart_border").value
    assert not [each for each in found.measurements if each.unit in (concepts.MILLIMETER, concepts.SQUARE_CENTIMETER)]
    for key in ("MTCD", "MITD", "heart_area", "lung_area/right", "tracheal_deviation", "mediastinal_width"):
        detail = said(found, f"{key}/not_measurable").detail
        assert detail.startswith("by the film's pixel spacing the thorax would be ")
        assert detail.endswith(" mm wide")


def test_a_spacing_too_large_for_anyone_is_not_believed_of_unknown_age_either() -> None:
    found = measure_film(*spaced(5.0))

    assert number(found, "CTR").value > 0
    assert "would be" in said(found, "MITD/not_measurable").detail


def test_the_trachea_is_where_it_is() -> None:
    one = made(12)
    rows, columns = np.nonzero(one.masks["trachea"])
    (_, _), (column, row) = number(read(one), "tracheal_deviation").line

    level = columns[np.abs(rows - row) < 3]

    assert column == pytest.approx(level.mean() + 0.5, abs=3 / one.truth.imager_pixel_spacing_mm)


def test_a_filled_middle_lobe_takes_the_right_heart_border_and_is_named() -> None:
    clear, filled = read(made(21)), read(made(21, View.PA, _MIDDLE_LOBE))

    assert said(clear, "border/right_heart_border").code == concepts.CLEAR
    lost = said(filled, "border/right_heart_border")
    assert lost.code == concepts.OBSCURED
    assert lost.site == concepts.MIDDLE_LOBE
    assert said(filled, "border/left_heart_border").code == concepts.CLEAR
    assert number(filled, "clarity/right_heart_border").value < number(clear, "clarity/right_heart_border").value


def test_a_filled_zone_is_denser_than_the_same_zone_without() -> None:
    clear, filled = read(made(21)), read(made(21, View.PA, _MIDDLE_LOBE))

    for key in ("share_soft/right_lower", "density/right_lower"):
        assert number(filled, key).value > number(clear, key).value
    assert number(filled, "asymmetry/lower").value < number(clear, "asymmetry/lower").value


def test_the_shares_of_a_zone_are_the_whole_of_it() -> None:
    found = read(made(13))

    for side in ("right", "left"):
        for zone in ("upper", "middle", "lower"):
            shares = [each.value for each in found.measurements if each.key.endswith(f"/{side}_{zone}")]
            assert sum(shares[:5]) == pytest.approx(100, abs=0.1)


def test_a_pacemaker_is_a_device_and_a_lead_letter_is_none() -> None:
    torch.set_num_threads(1)
    one = film(seed=4_200_018, pathology=[_PACEMAKER])

    metal = [each for each in read(one).observations if each.code == concepts.METAL]

    devices = [each for each in metal if each.value == concepts.DEVICE]
    can = one.masks[one.truth.lesions[0].mask]
    assert any(can[round(row), round(column)] for each in devices for column, row in [_middle(each.regions[0])])
    assert [each for each in metal if each.value == concepts.MARKER]


def test_what_a_model_outlines_and_what_is_derived_say_which_they_are() -> None:
    found = read(made(11))

    heart, border = said(found, "seen/heart"), said(found, "seen/left_heart_border_line")
    assert (heart.code, heart.provenance, heart.confidence) == (concepts.SEEN, "outlined by the model", 0.9)
    assert border.code == concepts.SEEN
    assert border.provenance.startswith("derived: ")
    assert len(border.line) > 10
    assert len([each for each in found.observations if each.key.startswith("seen/")]) == 27


def test_a_whole_outline_stands_with_the_structure_and_only_a_thin_line_round_it_with_what_is_seen() -> None:
    one = made(11)

    heart = said(read(one), "seen/heart")

    assert not heart.regions
    assert heart.line[0] == heart.line[-1]
    (outline,) = [each.regions[0].outline for each in structures(one) if each.key == Anatomy.HEART]
    assert set(heart.line) <= set(outline)
    assert len(heart.line) == 40 < len(outline)


def test_a_structure_that_is_not_outlined_is_not_seen_nor_what_follows_from_it() -> None:
    one = made(11)

    found = measure_film(radiograph(one), without(structures(one), Anatomy.TRACHEA))

    assert said(found, "seen/trachea").code == concepts.NOT_SEEN
    assert said(found, "seen/carina").code == concepts.NOT_SEEN
    assert said(found, "tracheal_deviation/not_measurable").detail == "no trachea outlined"


def test_an_ap_film_says_that_the_heart_is_magnified() -> None:
    found = read(made(12, View.AP))

    assert "magnified" in number(found, "CTR").provenance
    assert said(found, "quality/qprojection").value == concepts.LIMITED
    assert said(read(made(12)), "quality/qprojection").value == concepts.USABLE


def test_a_header_that_contradicts_the_picture_limits_the_film() -> None:
    one = made(12)
    like_ap = Appearance(view=View.AP, score=0.97, distance=1.0, limit=9.0)

    found = measure_film(radiograph(one), structures(one), like_ap)

    verdict = said(found, "quality/qprojection")
    assert (verdict.value, verdict.detail) == (concepts.LIMITED, "the header says PA, the picture looks like AP")
    assert said(found, "quality/111050").value == concepts.LIMITED


def test_a_blurred_film_is_less_sharp_and_says_so() -> None:
    one = made(11)
    sharp = radiograph(one)
    kernel = np.ones(13) / 13
    soft = one.p_values.astype(np.float64)
    for axis in (0, 1):
        soft = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, soft)
    blurred = replace(sharp, p_values=soft.astype(np.uint16))

    before, after = (measure_film(each, structures(one)) for each in (sharp, blurred))

    assert number(after, "sharpness").value < number(before, "sharpness").value
    assert said(after, "quality/qmotion").value == concepts.LIMITED


def test_a_lung_that_leaves_the_film_limits_it() -> None:
    one = made(11)
    lungs = one.masks["right_lung"] | one.masks["left_lung"]
    top = int(np.flatnonzero(lungs.any(1))[0]) + 24
    cut = replace(one, p_values=one.p_values[top:], masks={name: mask[top:] for name, mask in one.masks.items()})
    square = replace(
        one,
        p_values=np.pad(cut.p_values, ((0, top), (0, 0)), mode="edge"),
        masks={name: np.pad(mask, ((0, top), (0, 0))) for name, mask in cut.masks.items()},
    )

    verdict = said(read(square), "quality/qfield")

    assert (verdict.value, verdict.detail) == (concepts.LIMITED, "lung cut off at the top")


def test_a_film_turned_over_gives_the_same_numbers_at_mirrored_places() -> None:
    one = made(12)
    width = one.p_values.shape[1]
    over = replace(
        one,
        p_values=np.ascontiguousarray(one.p_values[:, ::-1]),
        masks={name: np.ascontiguousarray(mask[:, ::-1]) for name, mask in one.masks.items()},
    )

    straight, mirrored = number(read(one), "tracheal_deviation"), number(read(over), "tracheal_deviation")

    assert mirrored.value == pytest.approx(straight.value, abs=0.4)
    assert mirrored.line[0][0] == pytest.approx(width - straight.line[0][0], abs=1.0)


def test_a_small_lung_field_of_several_specks_is_measured_on_its_largest_part() -> None:
    one = made(11)
    speck = Region(outline=((2.0, 2.0), (8.0, 2.0), (8.0, 8.0)))
    given = tuple(
        replace(each, regions=(*each.regions, speck)) if each.key == Anatomy.HEART else each for each in structures(one)
    )

    assert number(measure_film(radiograph(one), given), "CTR").value == number(read(one), "CTR").value


def turned(given: Sequence[Structure], size: int) -> tuple[Structure, ...]:
    """Return structures on a film turned by a quarter."""
    return tuple(
        replace(
            each,
            regions=tuple(
                Region(outline=tuple((row, size - column) for column, row in region.outline)) for region in each.regions
            ),
        )
        for each in given
    )


def halved(given: Sequence[Structure], part: Anatomy) -> tuple[Structure, ...]:
    """Return structures of which one is outlined as two boxes."""
    boxes = (
        Region(outline=((60.0, 60.0), (110.0, 60.0), (110.0, 110.0), (60.0, 110.0))),
        Region(outline=((60.0, 130.0), (110.0, 130.0), (110.0, 180.0), (60.0, 180.0))),
    )
    return tuple(replace(each, regions=boxes) if each.key == part else each for each in given)


def spoilt(kind: str) -> tuple[Radiograph, tuple[Structure, ...]]:
    one = made(11)
    picture, given = radiograph(one), structures(one)
    match kind:
        case "nothing outlined":
            return picture, ()
        case "empty outlines":
            return picture, without(given, *Anatomy)
        case "one lung":
            return picture, without(given, Anatomy.LEFT_LUNG)
        case "no heart":
            return picture, without(given, Anatomy.HEART)
        case "split heart":
            return picture, halved(given, Anatomy.HEART)
        case "turned":
            return replace(picture, p_values=np.rot90(picture.p_values).copy()), turned(given, 256)
        case "child":
            return spaced(0.8)
        case _:
            outlines = tuple(
                replace(
                    each,
                    regions=tuple(
                        Region(outline=tuple((x, 256 - y) for x, y in region.outline)) for region in each.regions
                    ),
                )
                for each in given
            )
            return replace(picture, p_values=picture.p_values[::-1].copy()), outlines


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
    found = measure_film(*spoilt(kind))

    assert said(found, "CTR/not_measurable").detail == reason
    assert said(found, "densities/not_measurable").detail == reason
    keys = {each.key for each in found.measurements}
    assert not keys & {"CTR", "MTCD", "mediastinal_width", "heart_area"}
    assert not [key for key in keys if key.startswith(("share", "clarity"))]
    assert not [each for each in found.observations if each.code in (concepts.CLEAR, concepts.OBSCURED)]


def test_a_film_without_contrast_has_proportions_but_no_densities() -> None:
    one = made(11)
    flat = replace(radiograph(one), p_values=np.full_like(one.p_values, 30_000))

    found = measure_film(flat, structures(one))

    assert number(found, "CTR").value > 0
    assert said(found, "densities/not_measurable").detail == "lung and heart are equally bright"
    assert said(found, "quality/qexposure").value == concepts.UNUSABLE
    assert said(found, "quality/111050").value == concepts.UNUSABLE


def _middle(region: Region) -> tuple[float, float]:
    columns, rows = zip(*region.outline, strict=True)
    return sum(columns) / len(columns), sum(rows) / len(rows)


def test_at_a_base_that_the_film_cuts_off_nothing_is_measured() -> None:
    one = made(11)
    lungs = one.masks["right_lung"] | one.masks["left_lung"]
    size = len(lungs)
    bottom = int(np.flatnonzero(lungs.any(1))[-1]) - 24
    cut = replace(
        one,
        p_values=np.pad(one.p_values[:bottom], ((size - bottom, 0), (0, 0))),
        masks={name: np.pad(mask[:bottom], ((size - bottom, 0), (0, 0))) for name, mask in one.masks.items()},
    )

    found = read(cut)

    reason = "the lung is cut off at the bottom of the film"
    assert said(found, "clarity/right_hemidiaphragm/not_measurable").detail == reason
    assert said(found, "costophrenic_angle/right/not_measurable").detail == reason
    assert said(found, "quality/qfield").detail == "lung cut off at the bottom"


def test_the_breath_is_judged_only_where_the_count_of_ribs_tells() -> None:
    enough, unsure, few = (quality.judge_inspiration(count) for count in (8.0, 6.0, 4.0))

    assert enough is not None
    assert few is not None
    assert (enough.code, few.code) == (concepts.USABLE, concepts.LIMITED)
    assert unsure is None


def test_a_border_is_found_beside_its_outline() -> None:
    one = made(12)
    moved = tuple(
        replace(
            each,
            regions=tuple(Region(outline=tuple((x - 1.0, y) for x, y in region.outline)) for region in each.regions),
        )
        for each in structures(one)
    )

    exact, beside = (
        number(measure_film(radiograph(one), given), "clarity/right_heart_border").value
        for given in (structures(one), moved)
    )

    assert beside == pytest.approx(exact, rel=0.25)
    assert exact > borders.lowest_clarity(View.PA)[Border.RIGHT_HEART_BORDER]
