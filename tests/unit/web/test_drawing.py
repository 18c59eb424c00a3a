"""Overlays of the page: shapes and heat maps of a turned film lie on the film as it hangs."""

from dataclasses import replace

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.reading import HeatMap, Presence, Reading, Region, Structure
from cxr_node.web import drawing
from tests.support import films
from tests.unit.report.studies import finding, read

UPPER_LEFT = ((0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (0.0, 50.0))


def _reading(orientation: tuple[str, str] | None) -> Reading:
    lung = Structure(key=Anatomy.RIGHT_LUNG, confidence=0.9, regions=(Region(outline=UPPER_LEFT),))
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(Region(outline=UPPER_LEFT),))
    reading = read(films.cr(rows=640, columns=512), opacity, structures=(lung,)).reading
    assert reading.geometry is not None
    return replace(reading, geometry=replace(reading.geometry, patient_orientation=orientation))


def test_shapes_of_a_turned_film_lie_on_the_film_as_it_hangs() -> None:
    """Rows run to F and columns to R: the upper left corner as stored is the upper right one as it hangs."""
    drawn = drawing.drawing(_reading(("F", "R")))

    assert drawn is not None
    assert (drawn.columns, drawn.rows) == (640, 512)
    assert drawn.shapes("outlines")[0].path == "M640.0 0.0 L640.0 100.0 L590.0 100.0 L590.0 0.0Z"


def test_a_heat_map_of_a_turned_film_lies_on_the_film_as_it_hangs() -> None:
    heat = HeatMap(rows=1, columns=2, levels=bytes([10, 20]), area=Region(outline=UPPER_LEFT))

    hung = drawing.hung_heat_map(heat, _reading(("F", "R")))

    assert (hung.rows, hung.columns, hung.levels) == (2, 1, bytes([10, 20]))
    area = ((590.0, 0.0), (640.0, 0.0), (640.0, 100.0), (590.0, 100.0))
    assert hung.area.outline == drawing.hung_area(UPPER_LEFT, _reading(("F", "R"))) == area
    assert drawing.hung_heat_map(heat, None) == heat


def test_an_outline_is_named_without_side_where_the_header_states_none() -> None:
    names = [drawing.drawing(_reading(orientation)) for orientation in (("R", "F"), None)]

    assert [drawn.shapes("anatomy")[0].name for drawn in names if drawn is not None] == ["right lung", "side 1 lung"]
