"""Pictures, presentation states and key objects: source film, grayscale, words."""

from dataclasses import replace
from datetime import timedelta
from itertools import combinations, pairwise
from math import atan2, cos, pi, sin

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Measurement, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.check import faults_of
from cxr_node.report.kinds import key_objects, presentation_state, secondary_capture
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.labels import caliper_label
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH, LANGUAGES
from cxr_node.report.pictures import graphics, overlay, picture
from cxr_node.report.pictures.drawing import Drawing, smooth
from cxr_node.report.pictures.picture import painted
from cxr_node.report.pictures.placement import Box, around
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.pictures.typeface import typeface_of
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.tree import items
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import (
    NOW,
    composed,
    everything,
    finding,
    not_read,
    parsed,
    previous,
    read,
    request,
    square,
)

_GRAY = 0x8080
_GRAYS = (0x80, 0x80, 0x80)


def _radiograph(film: ReportedFilm, aspect_ratio: float = 1.0) -> Radiograph:
    rows, columns = int(film.header.Rows), int(film.header.Columns)
    geometry = Geometry(rows=rows, columns=columns, aspect_ratio=aspect_ratio, patient_orientation=("L", "F"))
    return Radiograph(p_values=np.full((rows, columns), _GRAY, np.uint16), geometry=geometry, grayscale="made")


def _capture(film: ReportedFilm) -> Instance:
    return composed(secondary_capture.PICTURE, [film])


def _state(film: ReportedFilm) -> Dataset:
    return parsed(composed(presentation_state.PRESENTATION_STATE, [film]))


@pytest.mark.slow
def test_the_film_as_sent_is_left_and_the_outline_of_a_finding_right() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(200, 100, 100),))
    film = read(films.cr(rows=640, columns=512), opacity)
    original, drawn = picture.films(reduce_film(_radiograph(film)), film, ENGLISH)
    page = painted(_radiograph(film), film)

    assert {original.getpixel((column, row)) for column in range(0, 768, 8) for row in range(0, 960, 8)} == {_GRAYS}
    assert drawn.getpixel((375, 150)) == overlay.ORANGE
    assert drawn.getpixel((375, 225)) == _GRAYS
    whole = np.asarray(original)
    assert any((page[top : top + 960, 24 : 24 + 768] == whole).all() for top in range(60, 160))


@pytest.mark.slow
def test_both_films_have_the_same_longest_side_and_keep_their_shape() -> None:
    for rows, columns in ((2560, 1280), (128, 64)):
        film = read(films.cr(rows=rows, columns=columns))
        for one in picture.films(reduce_film(_radiograph(film)), film, ENGLISH):
            assert one.size == (480, 960)


def test_pixels_that_are_not_square_become_square() -> None:
    film = read(films.cr(rows=300, columns=300))
    assert picture.films(reduce_film(_radiograph(film, aspect_ratio=2.0)), film, ENGLISH)[0].size == (480, 960)


@pytest.mark.slow
def test_the_picture_grows_with_the_number_of_findings() -> None:
    one = read(films.cr(), finding("Nodule", 0.7, Presence.PRESENT))
    many = read(films.cr(), *(finding("Nodule", 0.7, Presence.PRESENT) for _ in range(18)))
    assert painted(_radiograph(many), many).shape[0] > painted(_radiograph(one), one).shape[0]


@pytest.mark.parametrize("name", LANGUAGES)
def test_labels_neither_overlap_nor_leave_the_film(name: str) -> None:
    """Twelve regions in one place, in each corner too, with names as long as they come."""
    places = [(0.0, 0.0), (412.0, 0.0), (0.0, 540.0), (412.0, 540.0), *[(200.0, 200.0)] * 8]
    findings = [
        finding(key, 0.9, Presence.PRESENT, regions=(square(*place, 100),))
        for key, place in zip(codes.FINDINGS, places, strict=False)
    ]
    drawing = _drawing(LANGUAGES[name])
    overlay.draw_findings(drawing, read(films.cr(rows=640, columns=512), *findings), LANGUAGES[name])
    boxes = [box for box in drawing.boxes() if box is not None]

    assert len(boxes) == len(findings)
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert box.left >= 0
        assert box.top >= 0
        assert box.right <= drawing.film.width
        assert box.bottom <= drawing.film.height


@pytest.mark.slow
def test_a_label_without_room_is_left_out() -> None:
    drawing = _drawing(ENGLISH)
    for _ in range(200):
        drawing.label("A label of some length", (256, 320), overlay.SKY)
    boxes = drawing.boxes()

    assert None in boxes
    assert not any(one.overlaps(other) for one, other in combinations([box for box in boxes if box], 2))


def test_labels_avoid_the_regions_of_findings() -> None:
    regions = [square(150, 100, 200), square(150, 350, 150)]
    findings = [finding("Nodule", 0.9, Presence.PRESENT, regions=(region,)) for region in regions]
    drawing = _drawing(ENGLISH)
    overlay.draw_findings(drawing, read(films.cr(rows=640, columns=512), *findings), ENGLISH)
    areas = [around([(column * 1.5, row * 1.5) for column, row in region.outline]) for region in regions]

    assert not any(box and box.overlaps(area) for box in drawing.boxes() for area in areas)


def test_findings_have_colors_of_their_own_and_absent_ones_none() -> None:
    findings = [finding("Nodule", 0.9, Presence.PRESENT), finding("Mass", 0.1, Presence.ABSENT)]
    film = read(films.cr(), *findings, finding("Effusion", 0.5, Presence.UNDETERMINED))

    numbered = list(overlay.numbered_findings(film.reading))

    assert [(number, one.key) for number, one, _ in numbered] == [(1, "Nodule"), (2, "Effusion")]
    assert len(set(overlay.FINDING_COLORS)) == len(overlay.FINDING_COLORS) == 6


@pytest.mark.parametrize(("score", "filled"), [(0.9, 90), (0.2, 20)])
def test_a_bar_shows_the_score_and_its_threshold(score: float, filled: int) -> None:
    strip = Image.new("RGB", (101, 40))
    picture.bar(ImageDraw.Draw(strip), finding("Nodule", score, Presence.PRESENT), overlay.SKY, (0, 10, 100, 30))
    row = [strip.getpixel((column, 20)) for column in range(101)]

    assert row.count(overlay.SKY) == pytest.approx(filled, abs=6)
    assert row[49] == (255, 255, 255)
    assert strip.getpixel((49, 7)) == (255, 255, 255)


@pytest.mark.parametrize(("ratio", "view", "word"), [(0.53, View.PA, True), (0.44, View.PA, False)])
def test_the_caliper_of_a_wide_heart_is_named_enlarged(ratio: float, view: View, word: bool) -> None:
    wide = Measurement(
        key="CTR",
        code=concepts.CARDIOTHORACIC_RATIO,
        value=ratio,
        unit=codes.RATIO,
        line=((100, 300), (300, 300)),
        provenance="",
    )
    film = read(films.cr(rows=640, columns=512), measurements=(wide,), view=view)
    drawing = _drawing(ENGLISH)
    overlay.draw_findings(drawing, film, ENGLISH)

    assert [("enlarged" in text) for text in drawing.texts] == [word]
    assert drawing.finished().getpixel((160, 450)) == overlay.CALIPER
    (box,) = drawing.boxes()
    assert box is not None
    assert not box.overlaps(around([(150, 450), (450, 450)]))


@pytest.mark.parametrize(
    ("key", "value", "label"),
    [
        ("MTCD", 158.7, "Heart 159\N{NO-BREAK SPACE}mm"),
        ("tracheal_deviation", -3.2, "Trachea 3\N{NO-BREAK SPACE}mm (right)"),
        ("tracheal_deviation", 0.2, "Trachea 0\N{NO-BREAK SPACE}mm"),
    ],
)
def test_a_caliper_is_labelled_by_what_it_lies_on(key: str, value: float, label: str) -> None:
    code = concepts.CARDIAC_DIAMETER if key == "MTCD" else concepts.TRACHEAL_DEVIATION
    measurement = Measurement(key=key, code=code, value=value, unit=concepts.MILLIMETER, line=(), provenance="")
    assert caliper_label(measurement, read(films.cr()).reading) == label


def test_a_smooth_outline_stays_inside_the_original_and_has_no_corner() -> None:
    corners = square(0, 0, 100).outline
    curve = smooth(corners)
    turns = [
        abs(atan2(sin(b - a), cos(b - a)))
        for a, b in pairwise(
            [atan2(y2 - y1, x2 - x1) for (x1, y1), (x2, y2) in pairwise(curve) if (x1, y1) != (x2, y2)]
        )
    ]
    assert max(turns) < pi / 8
    assert all(0 <= column <= 100 and 0 <= row <= 100 for column, row in curve)


def _drawing(language: Language) -> Drawing:
    film = Image.new("RGB", (768, 960))
    return Drawing(film=film, x=1.5, y=1.5, typeface=typeface_of(language), text=picture.TEXT)


@pytest.mark.slow
def test_a_picture_states_its_type_and_source() -> None:
    film = {"LossyImageCompressionRatio": "10", "LossyImageCompressionMethod": "ISO_15444_1"}
    header = films.cr(changes={"LossyImageCompression": "01", **film})
    capture = parsed(_capture(everything(header)))
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY"]
    assert capture.BurnedInAnnotation == "YES"
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert capture.LossyImageCompression == "01"
    assert list(capture.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert capture.LossyImageCompressionRatio[0] == 10
    assert 10 < capture.LossyImageCompressionRatio[1] < 200
    assert capture.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert capture.Modality == "OT"
    assert (capture.PatientID, capture.StudyInstanceUID) == (header.PatientID, header.StudyInstanceUID)
    assert capture.pixel_array.shape == (capture.Rows, capture.Columns, 3)


@pytest.mark.slow
def test_the_same_picture_is_the_same_instance_at_any_time() -> None:
    film = everything(films.cr())
    later = composed(secondary_capture.PICTURE, [film], now=NOW + timedelta(days=1))
    assert _capture(film).identity == later.identity
    assert _capture(film).identity != _capture(read(films.cr())).identity


def test_a_film_that_was_not_analysed_can_be_painted_too() -> None:
    film = not_read(films.cr(), Reason.AGE)
    assert painted(_radiograph(film), film).shape[0] > 0


def test_graphics_are_in_pixels_of_the_film() -> None:
    header = films.cr(rows=100, columns=80)
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(50, 60, 100),))
    state = _state(read(header, opacity))
    graphic = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert graphic.GraphicAnnotationUnits == "PIXEL"
    assert list(graphic.GraphicData) == [50, 60, 80, 60, 80, 100, 50, 100, 50, 60]
    image = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert image.ReferencedSOPInstanceUID == header.SOPInstanceUID
    texts = [text.UnformattedTextValue for text in state.GraphicAnnotationSequence[0].TextObjectSequence]
    assert texts == ["Opacity 90", ENGLISH.phrases.caution]


@pytest.mark.parametrize("name", LANGUAGES)
def test_labels_of_a_state_are_words_with_units_on_anchors_of_their_own(name: str) -> None:
    line = ((100.0, 400.0), (300.0, 400.0))
    values = [("CTR", 0.53, codes.RATIO), ("MTCD", 141.32, codes.MILLIMETER), ("MITD", 266.6, codes.MILLIMETER)]
    measurements = tuple(
        Measurement(key=key, code=codes.MEASUREMENTS[key], value=value, unit=unit, line=line, provenance="")
        for key, value, unit in values
    )
    findings = [finding(key, 0.9, Presence.PRESENT, regions=(square(50, 50, 60),)) for key in ("Nodule", "Mass")]
    film = read(films.cr(rows=640, columns=512), *findings, measurements=measurements)
    observer = Observer(language=LANGUAGES[name])
    state = parsed(composed(presentation_state.PRESENTATION_STATE, [film], observer=observer))
    texts = [text for one in state.GraphicAnnotationSequence for text in one.get("TextObjectSequence", ())]
    anchors = [tuple(text.AnchorPoint) for text in texts if "AnchorPoint" in text]
    joined = " ".join(str(text.UnformattedTextValue) for text in texts)

    assert len(set(anchors)) == len(anchors) == 3
    assert "_" not in joined
    assert not {"MTCD", "MITD"} & set(joined.split())
    assert "141\N{NO-BREAK SPACE}mm" in joined
    assert "267\N{NO-BREAK SPACE}mm" in joined
    boxes = [Box(left=a, top=b, width=c - a, height=d - b) for text in texts for a, b, c, d in _corners(text)]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def _corners(text: Dataset) -> list[tuple[float, float, float, float]]:
    if text.get("BoundingBoxAnnotationUnits") != "PIXEL":
        return []
    return [(*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner)]


def test_each_finding_and_anatomy_have_layers_of_their_own() -> None:
    state = _state(everything(films.cr()))
    names = [str(layer.GraphicLayer) for layer in state.GraphicLayerSequence]

    assert names == ["AI FINDING 1", "AI FINDING 2", "AI ANATOMY", "AI MEASUREMENTS"]
    assert [str(one.GraphicLayer) for one in state.GraphicAnnotationSequence] == names
    assert [str(layer.GraphicLayerDescription) for layer in state.GraphicLayerSequence][:2] == [
        "Opacity 87",
        "Pneumothorax 50 (undetermined)",
    ]
    assert [len(one.GraphicObjectSequence) for one in state.GraphicAnnotationSequence] == [1, 2, 3, 1]


@pytest.mark.parametrize(("color", "lab"), [((255, 255, 255), (100, 0, 0)), ((255, 0, 0), (54.3, 80.8, 69.9))])
def test_layer_colors_are_cielab_at_d50(color: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    lightness, a, b = graphics.cielab(color)
    assert (lightness / 655.35, a / 257 - 128, b / 257 - 128) == pytest.approx(lab, abs=0.6)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")])
def test_a_presentation_state_keeps_the_polarity_of_the_film(photometric: str, shape: str) -> None:
    header = films.cr(changes={"PhotometricInterpretation": photometric})
    assert _state(everything(header)).PresentationLUTShape == shape


def test_a_presentation_state_repeats_the_grayscale_transformations() -> None:
    changes = {"RescaleSlope": "2", "RescaleIntercept": "-5", "WindowCenter": ["300", "9"], "WindowWidth": ["800", "9"]}
    state = _state(everything(films.cr(changes=changes)))
    assert (state.RescaleSlope, state.RescaleIntercept) == (2, -5)
    window = state.SoftcopyVOILUTSequence[0]
    assert (window.WindowCenter, window.WindowWidth) == (300, 800)


def test_a_table_takes_the_place_of_slope_and_window() -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.add_new("LUTData", "OW", b"\x00\x00\x01\x00\x02\x00\x03\x00")
    changes = {"VOILUTSequence": [table], "ModalityLUTSequence": [table], "RescaleSlope": "2", "RescaleIntercept": "0"}
    state = _state(everything(films.cr(changes=changes)))
    assert "RescaleSlope" not in state
    assert bytes(state.ModalityLUTSequence[0].LUTData) == bytes(table.LUTData)
    assert "VOILUTSequence" in state.SoftcopyVOILUTSequence[0]


@pytest.mark.parametrize("changes", [{"WindowWidth": "0"}, {"WindowWidth": None}, {"WindowCenter": None}])
def test_a_window_that_cannot_be_used_is_left_out(changes: dict[str, object]) -> None:
    assert "SoftcopyVOILUTSequence" not in _state(everything(films.cr(changes=changes)))


@pytest.mark.parametrize(("sent", "shown"), [(["2", "1"], [2, 1]), ("01", [1, 1]), ("", [1, 1]), (["0", "0"], [1, 1])])
def test_a_presentation_state_keeps_the_pixel_aspect_ratio(sent: object, shown: list[int]) -> None:
    area = _state(everything(films.cr(changes={"PixelAspectRatio": sent}))).DisplayedAreaSelectionSequence[0]
    assert list(area.PresentationPixelAspectRatio) == shown


def test_a_film_without_graphics_has_no_presentation_state() -> None:
    for film in (read(films.cr(), finding("Nodule", 0.9, Presence.PRESENT)), not_read(films.cr(), Reason.VIEW)):
        assert presentation_state.PRESENTATION_STATE.compose(request([film])) == []


def test_key_objects_are_the_films_with_findings_and_no_others() -> None:
    study = [
        read(films.dx(), finding("Nodule", 0.9, Presence.PRESENT)),
        read(films.cr(), finding("Nodule", 0.1, Presence.ABSENT)),
        not_read(films.sc(), Reason.VIEW),
    ]
    selection = parsed(composed(key_objects.KEY_IMAGES, study))
    assert selection.ContentSequence[-1].get("ConceptNameCodeSequence") is None  # forbidden by TID 2010
    chosen = [item for _, item in items(selection) if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in chosen] == [films.dx().SOPInstanceUID]


def test_a_later_film_makes_no_second_selection_of_the_first() -> None:
    first, later = everything(films.dx()), everything(films.cr())
    earlier = composed(key_objects.KEY_IMAGES, [first])

    new = composed(key_objects.KEY_IMAGES, [first, later], earlier=[previous(earlier)])

    chosen = [item for _, item in items(parsed(new)) if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in chosen] == [films.cr().SOPInstanceUID]
    assert parsed(new).InstanceNumber == 2


def test_a_study_without_findings_has_no_key_objects() -> None:
    absent = read(films.dx(), finding("Nodule", 0.1, Presence.ABSENT))
    assert key_objects.KEY_IMAGES.compose(request([absent, not_read(films.cr(), Reason.VIEW)])) == []


_KINDS = (secondary_capture.PICTURE, presentation_state.PRESENTATION_STATE, key_objects.KEY_IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("PatientID", "OTHER", "PatientID is not that of the source"),
        ("StudyInstanceUID", "1.2.3", "StudyInstanceUID is not that of the source"),
        ("ContentQualification", "PRODUCT", "ContentQualification is not RESEARCH"),
        ("InstanceNumber", None, "InstanceNumber has no value"),
    ],
)
def test_a_broken_promise_of_any_kind_is_reported(
    kind: ResultKind, keyword: str, value: str | None, sentence: str
) -> None:
    study = collate([everything(films.cr())])
    result = parsed(composed(kind, [study[0]]))
    assert faults_of(result, study, kind.result_type) == ()
    setattr(result, keyword, value)
    assert faults_of(result, study, kind.result_type) == (sentence,)


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: str(kind.name))
def test_a_result_that_references_another_film_is_a_fault(kind: ResultKind) -> None:
    result = parsed(composed(kind, [everything(films.cr())]))
    study = collate([everything(films.dx())])
    assert "the references do not name the sources" in faults_of(result, study, kind.result_type)


@pytest.mark.slow
def test_a_returned_picture_is_distinguishable_from_a_film() -> None:
    film = everything(films.dx(changes={"Manufacturer": "Detectors", "ManufacturerModelName": "Panel 1"}))
    picture = parsed(composed(secondary_capture.PICTURE, [film]))
    node = Observer()
    assert picture.Manufacturer == node.manufacturer
    assert picture.ManufacturerModelName == node.model_name
    modality, model = picture.ContributingEquipmentSequence
    assert (modality.Manufacturer, model.Manufacturer) == ("Detectors", "cxr-node developers")
    assert model.DeviceUID.startswith("2.25.")
    assert picture.ImageType == ["DERIVED", "SECONDARY"]
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == film.reading.film.sop_instance_uid


TURNED = {("R", "F"): (0, "Y"), ("F", "R"): (90, "N"), ("R", "H"): (180, "N"), ("H", "L"): (270, "N")}


@pytest.mark.parametrize("orientation", TURNED)
def test_a_state_shows_a_turned_film_as_it_hangs(orientation: tuple[str, str]) -> None:
    """The corners are those after the transformation, as stored pixels (PS3.3 section C.10.4)."""
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(200, 100, 100),))
    state = _state(_lying(read(films.cr(rows=640, columns=512), opacity), orientation))

    assert (state.ImageRotation, state.ImageHorizontalFlip) == TURNED[orientation]
    area = state.DisplayedAreaSelectionSequence[0]
    corners = [area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner]
    first = {("R", "F"): [512, 1], ("F", "R"): [1, 640], ("R", "H"): [512, 640], ("H", "L"): [512, 1]}[orientation]
    assert corners == [first, [513 - first[0], 641 - first[1]]]
    assert state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData[:2] == [200, 100]


def test_a_film_that_hangs_already_has_no_spatial_transformation() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(200, 100, 100),))
    state = _state(_lying(read(films.cr(rows=640, columns=512), opacity), ("L", "F")))

    assert "ImageRotation" not in state
    assert state.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner == [512, 640]


@pytest.mark.slow
def test_the_picture_of_a_turned_film_and_its_region_hang() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(0, 540, 100),))
    film = _lying(read(films.cr(rows=640, columns=512), opacity), ("F", "R"))
    capture = parsed(composed(secondary_capture.PICTURE, [film]))
    page = capture.pixel_array

    assert (capture.Columns, list(capture.PatientOrientation)) == (2 * 960 + 3 * 24, ["L", "F"])
    rows, columns = np.nonzero(np.all(np.abs(page.astype(int) - overlay.ORANGE) < 40, axis=2)[:800])
    assert len(rows) > 100
    assert (columns > 984).all()
    assert (columns < 1250).all()
    assert (rows < 350).all()


def _lying(film: ReportedFilm, orientation: tuple[str, str]) -> ReportedFilm:
    assert film.reading.geometry is not None
    film.header.PatientOrientation = list(orientation)
    geometry = replace(film.reading.geometry, patient_orientation=orientation)
    return replace(film, reading=replace(film.reading, geometry=geometry))
