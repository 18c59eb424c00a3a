"""Turned and mirrored films: the same reading, on the film's own pixels, with the sides of the header."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cxr_node.domain.reading import Finding, HeatMap, Measurement, Observation, Point, Reading, Region
from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.reduced_film import UInt8
from cxr_node.report.kinds.segmentation import SEGMENTATION
from cxr_node.report.source import ReportedFilm
from tests.support import turned_films
from tests.support.turned_films import Turned, read_films, turned_copy
from tests.unit.report.studies import composed, parsed

SIDE = re.compile("(?<![a-z])(right|left)(?![a-z])", re.IGNORECASE)
Header = Callable[[Turned], dict[str, object]]


def _alone(turn: Turned) -> dict[str, object]:
    return {"orientation": turn.patient_orientation()}


def _oblique(turn: Turned) -> dict[str, object]:
    """The patient stood a little askew: second letters."""
    askew = {"L": "LA", "R": "RP", "F": "FA", "H": "HP"}
    return {"orientation": [askew[direction] for direction in turn.patient_orientation()]}


def _beside_field_of_view(turn: Turned) -> dict[str, object]:
    """What was done to the pixels between detector and file, which Patient Orientation has in it already."""
    flip = "YES" if turn.mirrored else "NO"
    rotation = -90 * turn.quarter_turns % 360
    return {**_alone(turn), "FieldOfViewRotation": rotation, "FieldOfViewHorizontalFlip": flip}


HEADERS: dict[str, Header] = {
    "Patient Orientation": _alone,
    "two letters each": _oblique,
    "and Field of View Rotation": _beside_field_of_view,
}


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    (reading,) = read_films([turned_films.upright()], tmp_path_factory.mktemp("upright"))
    return reading


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("turn", turned_films.ALL, ids=str)
def test_the_reading_is_that_of_the_upright_film(turn: Turned, header: str, upright: Reading, tmp_path: Path) -> None:
    """24 films: the same scores and numbers, sides by the header, and each place where it is on the film's pixels."""
    (reading,) = read_films([turned_copy(turn, **HEADERS[header](turn))], tmp_path)  # type: ignore[arg-type]

    assert reading.prediction is not None
    assert upright.prediction is not None
    assert (Note.ROTATED in reading.notes) == (turn != Turned(False, 0))
    for finding, expected in zip(reading.prediction.findings, upright.prediction.findings, strict=True):
        assert finding.score == pytest.approx(expected.score, abs=1e-4)
        assert _words(finding) == _words(expected)
        _same_regions(finding.regions, expected.regions, turn)
        _same_heat(finding.heat, expected.heat, turn)
    for structure, outlined in zip(reading.prediction.structures, upright.prediction.structures, strict=True):
        assert structure.key == outlined.key
        _same_regions(structure.regions, outlined.regions, turn)
    for measurement, measured in zip(reading.measurements, upright.measurements, strict=True):
        assert _words(measurement) == _words(measured)
        assert measurement.value == pytest.approx(measured.value, rel=1e-4, abs=1e-4)
        _same_line(measurement.line, measured.line, turn)
    for observation, observed in zip(reading.observations, upright.observations, strict=True):
        assert _words(observation) == _words(observed)
        _same_line(observation.line, observed.line, turn)
        _same_regions(observation.regions, observed.regions, turn)


@pytest.mark.parametrize("turn", turned_films.ALL[1:4] + turned_films.ALL[5:], ids=str)
@pytest.mark.parametrize("orientation", [(), ("L", "F")], ids=["nothing", "upright"])
def test_a_turned_film_that_does_not_say_so_is_refused_as_turned(
    turn: Turned, orientation: Sequence[str], tmp_path: Path
) -> None:
    (reading,) = read_films([turned_copy(turn, orientation)], tmp_path)

    assert reading.not_analysed is Reason.TURNED
    assert f"{90 * turn.quarter_turns} degrees clockwise" in reading.detail
    assert "Patient Orientation (0020,0020)" in reading.detail


def test_a_film_turned_otherwise_than_it_says_is_refused_as_turned(tmp_path: Path) -> None:
    """Its rows run to the feet, and the header says to the head."""
    (reading,) = read_films([turned_copy(Turned(False, 1), ("H", "R"))], tmp_path)

    assert reading.not_analysed is Reason.TURNED
    assert "says otherwise" in reading.detail


def test_a_picture_of_no_chest_is_no_turned_film(tmp_path: Path) -> None:
    board = turned_copy(Turned(False, 0), ("L", "F"))
    rows, columns = np.indices((300, 280))
    board.PixelData = (600 + 2500 * ((rows // 30 + columns // 30) % 2)).astype("<u2").tobytes()

    (reading,) = read_films([board], tmp_path)

    assert reading.not_analysed is Reason.BODY_PART


@pytest.mark.parametrize("orientation", [(), ("L", "R"), ("A", "F")], ids=["empty", "of one axis", "lateral"])
@pytest.mark.parametrize("turn", [Turned(False, 0), Turned(True, 0)], ids=["upright", "mirrored"])
def test_a_film_whose_header_states_no_sides_has_none(
    turn: Turned, orientation: Sequence[str], upright: Reading, tmp_path: Path
) -> None:
    """Neither findings, measurements and observations nor segments; but the numbers that need no side."""
    film = turned_copy(turn, orientation)
    (reading,) = read_films([film], tmp_path)

    assert reading.prediction is not None
    coded: list[Finding | Measurement | Observation] = [*reading.prediction.findings]
    coded += [*reading.measurements, *reading.observations]
    assert not [one.key for one in coded if one.laterality is not None]
    words = [str(words) for one in coded for words in _words(one) if words is not None]
    assert not [word for word in words if SIDE.search(word)]
    assert {measured.key for measured in reading.measurements} >= {"CTR", "lung_area/side_1", "lung_area/side_2"}
    assert not any(one.key.startswith(("asymmetry", "tracheal_deviation")) for one in reading.measurements)
    segmentation = parsed(composed(SEGMENTATION, [ReportedFilm(header=film, reading=reading)]))
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert {"Lung, side 1", "Lung, side 2", "Heart"} <= set(labels)
    assert not SIDE.search(str(segmentation.SegmentSequence))


_WORDS = ("key", "code", "site", "laterality", "presence", "detail", "provenance")


def _words(value: Finding | Measurement | Observation) -> list[object]:
    return [getattr(value, name, None) for name in _WORDS]


def _same_line(points: Sequence[Point], expected: Sequence[Point], turn: Turned) -> None:
    assert len(points) == len(expected)
    for point, upright_point in zip(points, expected, strict=True):
        assert point == pytest.approx(turn.point(upright_point), abs=1e-4)


def _same_regions(regions: Sequence[Region], expected: Sequence[Region], turn: Turned) -> None:
    for region, upright_region in zip(regions, expected, strict=True):
        _same_line(region.outline, upright_region.outline, turn)


def _same_heat(heat: HeatMap | None, expected: HeatMap | None, turn: Turned) -> None:
    assert (heat is None) == (expected is None)
    if heat is not None and expected is not None:
        assert np.array_equal(_cells(heat), turn.pixels(_cells(expected)))
        assert set(heat.area.outline) == {turn.point(corner) for corner in expected.area.outline}
        assert heat.area.outline[0] == min(heat.area.outline)


def _cells(heat: HeatMap) -> UInt8:
    return np.frombuffer(heat.levels, np.uint8).reshape(heat.rows, heat.columns)
