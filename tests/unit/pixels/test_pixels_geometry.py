"""Spacing with its provenance, orientation, and the view from tag, code and words."""

from typing import Any

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import SpacingSource, View, ViewSource
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.parsing import parse
from tests.support.pixel_films import chest, data_set, lut, with_text_elements, written

Changes = dict[str, Any]


def film(changes: Changes) -> Dataset:
    """Return a chest film without a view, as the node parses it."""
    return parse(written(data_set(chest(), changes={"ViewPosition": None} | changes)))


def coded(value: str) -> Dataset:
    """Return a code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a view"
    return item


IMAGER = {"ImagerPixelSpacing": [0.2, 0.2]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        (IMAGER, (0.2, SpacingSource.DETECTOR)),
        (IMAGER | {"EstimatedRadiographicMagnificationFactor": 1.25}, (0.16, SpacingSource.MAGNIFICATION)),
        (IMAGER | {"EstimatedRadiographicMagnificationFactor": 0}, (0.2, SpacingSource.DETECTOR)),
        (IMAGER | {"EstimatedRadiographicMagnificationFactor": 40}, (0.2, SpacingSource.DETECTOR)),
        (IMAGER | {"PixelSpacing": [0.2, 0.2]}, (0.2, SpacingSource.DETECTOR)),
        (IMAGER | {"PixelSpacing": [0.15, 0.15]}, (0.15, SpacingSource.UNSPECIFIED)),
        ({"PixelSpacing": [0.15, 0.15]}, (0.15, SpacingSource.UNSPECIFIED)),
        (
            IMAGER | {"PixelSpacing": [0.15, 0.15], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.15, SpacingSource.CALIBRATED),
        ),
        (
            IMAGER | {"PixelSpacing": [0.15, 0.15], "EstimatedRadiographicMagnificationFactor": 1.25},
            (0.16, SpacingSource.MAGNIFICATION),
        ),
        ({"NominalScannedPixelSpacing": [0.175, 0.175]}, (0.175, SpacingSource.DETECTOR)),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [0.2]}, None),
        ({"PixelSpacing": [200, 200]}, None),
    ],
)
def test_spacing_is_the_best_founded_one_with_its_source(
    changes: Changes, expected: tuple[float, SpacingSource] | None
) -> None:
    spacing = geometry(film(changes)).spacing
    if expected is None:
        assert spacing is None
    else:
        assert spacing is not None
        assert (spacing.row_mm, spacing.column_mm) == pytest.approx((expected[0], expected[0]))
        assert spacing.source is expected[1]


@pytest.mark.parametrize("text", ["NaN\\NaN", "inf\\inf", "-0.2\\0.2", "a\\b"])
def test_a_spacing_that_is_no_length_is_none(text: str) -> None:
    content = with_text_elements(written(data_set(chest())), {(0x0028, 0x0030): text})
    assert geometry(parse(content)).spacing is None


def test_the_aspect_ratio_is_the_spacings_or_the_stated_one() -> None:
    assert geometry(film({"PixelSpacing": [0.3, 0.2]})).aspect_ratio == pytest.approx(1.5)
    assert geometry(film({"PixelAspectRatio": [4, 3]})).aspect_ratio == pytest.approx(4 / 3)
    assert geometry(film({"PixelAspectRatio": [1]})).aspect_ratio == 1.0
    assert geometry(film({"PixelAspectRatio": [0, 3]})).aspect_ratio == 1.0


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["L", "F"], ("L", "F")),
        (["R", "F"], ("R", "F")),
        (["AL", "F"], ("AL", "F")),
        (["LR", "F"], None),
        (["L"], None),
        (["X", "Y"], None),
        (None, None),
    ],
)
def test_orientation_is_taken_as_stated_or_not_at_all(
    stated: list[str] | None, expected: tuple[str, str] | None
) -> None:
    assert geometry(film({"PatientOrientation": stated})).patient_orientation == expected


@pytest.mark.parametrize(
    ("changes", "view", "source"),
    [
        ({"ViewPosition": "PA"}, View.PA, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "AP"}, View.AP, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "LL"}, View.LATERAL, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "AP SUPINE"}, View.AP, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "POSTERO_ANTERIOR"}, View.PA, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "PA/LAT"}, View.UNKNOWN, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "FRONTAL"}, View.UNKNOWN, ViewSource.NONE),
        ({"ViewPosition": "FRONTAL", "SeriesDescription": "PA"}, View.PA, ViewSource.TEXT),
        ({"ViewCodeSequence": [coded("399033003")]}, View.UNKNOWN, ViewSource.NONE),
        ({"ViewPosition": "RLD"}, View.UNKNOWN, ViewSource.VIEW_POSITION),
        ({"ViewPosition": "PA", "SeriesDescription": "LATERAL"}, View.PA, ViewSource.VIEW_POSITION),
        ({"ViewCodeSequence": [coded("272479007")]}, View.PA, ViewSource.VIEW_CODE),
        ({"ViewCodeSequence": [coded("399348003")]}, View.AP, ViewSource.VIEW_CODE),
        ({"ViewCodeSequence": [coded("R-10206")]}, View.AP, ViewSource.VIEW_CODE),
        ({"ViewCodeSequence": [coded("399173006")]}, View.LATERAL, ViewSource.VIEW_CODE),
        ({"ViewCodeSequence": [coded("399135007")]}, View.UNKNOWN, ViewSource.VIEW_CODE),
        ({"ViewCodeSequence": [], "SeriesDescription": "Chest p.a."}, View.PA, ViewSource.TEXT),
        ({"SeriesDescription": "W chest, lat"}, View.LATERAL, ViewSource.TEXT),
        ({"SeriesDescription": "Thorax seitlich"}, View.LATERAL, ViewSource.TEXT),
        ({"AcquisitionDeviceProcessingDescription": "CHEST AP PORT X-WISE GRID"}, View.AP, ViewSource.TEXT),
        ({"AcquisitionDeviceProcessingDescription": "CHEST LAO"}, View.UNKNOWN, ViewSource.TEXT),
        ({"StudyDescription": "CHEST PA AND LATERAL"}, View.UNKNOWN, ViewSource.NONE),
        ({"StudyDescription": "CHEST PA/LAT", "SeriesDescription": "LAT"}, View.LATERAL, ViewSource.TEXT),
        ({"StudyDescription": "PAPER LATTE"}, View.UNKNOWN, ViewSource.NONE),
        ({}, View.UNKNOWN, ViewSource.NONE),
    ],
)
def test_the_view_is_read_from_tag_then_code_then_words(changes: Changes, view: View, source: ViewSource) -> None:
    place = geometry(film(changes))
    assert (place.view, place.view_source) == (view, source)


def test_a_header_of_nonsense_has_a_geometry_without_claims() -> None:
    broken = film(
        {"ViewCodeSequence": [lut(chest()[0].astype("<u2"), first=0, bits=8)], "PatientOrientation": ["?", "!"]}
    )
    place = geometry(broken)
    assert (place.spacing, place.view, place.patient_orientation) == (None, View.UNKNOWN, None)
