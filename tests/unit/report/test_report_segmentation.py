"""Segmentation of anatomy and findings: pixels, codes, references, tracking."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import PixelSpacing, SpacingSource
from cxr_node.domain.reading import Laterality, Measurement, Presence, Region, Structure
from cxr_node.report import segments
from cxr_node.report.check import faults_of
from cxr_node.report.kinds import segmentation, tid1500
from cxr_node.report.pictures.masks import joined, packed
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.tree import items, name_of
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import NOW, composed, everything, finding, parsed, read, request, square


def _segmentation(film: ReportedFilm) -> Dataset:
    return parsed(composed(segmentation.SEGMENTATION, [film]))


def _outlined(header: Dataset, key: Anatomy, *regions: Region) -> ReportedFilm:
    return read(header, structures=(Structure(key=key, confidence=0.9, regions=regions),))


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=15, max_size=15), min_size=1, max_size=4))
def test_masks_that_end_within_a_byte_are_joined_bit_by_bit(frames: list[list[bool]]) -> None:
    content = joined([packed(np.array(frame, np.uint8)) for frame in frames], 15)
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    assert bits[: 15 * len(frames)].tolist() == [bit for frame in frames for bit in frame]
    assert len(content) % 2 == 0


@pytest.mark.parametrize(("rows", "columns"), [(64, 48), (63, 47)])
def test_each_frame_holds_one_structure_with_its_holes(rows: int, columns: int) -> None:
    dataset = _segmentation(everything(films.cr(rows=rows, columns=columns)))
    lung, heart, *_ = dataset.pixel_array
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence][:2] == ["Right Lung", "Heart"]
    assert lung.shape == (rows, columns)
    side = columns / 8
    assert abs(int(lung.sum()) - (4 - 0.25) * side**2) < 5 * side
    assert lung[round(side * 1.2), round(side * 1.2)] == 1
    assert lung[round(side * 1.7), round(side * 1.7)] == 0
    assert heart[round(side * 5), round(side * 4)] == 1
    assert not (lung & heart).any()


def test_a_segment_states_structure_side_and_algorithm() -> None:
    film = everything(films.dx())
    lung, heart, *_ = _segmentation(film).SegmentSequence
    (kind,) = lung.SegmentedPropertyTypeCodeSequence
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("39607008", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in heart.SegmentedPropertyTypeCodeSequence[0]
    (algorithm,) = heart.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("chest-opacity", "1.0")
    assert lung.TrackingUID != heart.TrackingUID
    assert lung.TrackingUID == _segmentation(film).SegmentSequence[0].TrackingUID


def test_each_region_of_a_finding_that_is_not_absent_has_a_segment() -> None:
    dataset = _segmentation(everything(films.dx(rows=64, columns=48)))
    opacity, one, two = list(dataset.SegmentSequence)[2:]
    assert [segment.SegmentLabel for segment in (opacity, one, two)] == [
        "Opacity",
        "Pneumothorax, region 1",
        "Pneumothorax, region 2",
    ]
    assert opacity.SegmentDescription == "Opacity 87 (present), chest-opacity 1.0"
    assert one.SegmentDescription == "Pneumothorax 50 (undetermined), chest-opacity 1.0"
    assert opacity.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert opacity.SegmentedPropertyTypeCodeSequence[0].CodeValue == "112001"
    (site,) = opacity.AnatomicRegionSequence
    assert (site.CodeMeaning, site.AnatomicRegionModifierSequence[0].CodeMeaning) == ("Lung", "Left")
    assert "AnatomicRegionModifierSequence" not in one.AnatomicRegionSequence[0]
    side = 48 / 8
    assert dataset.pixel_array[2][round(side * 3.5), round(side / 2)] == 1
    assert abs(int(dataset.pixel_array[2].sum()) - side**2) < 3 * side


def test_a_film_without_outlined_anatomy_has_segments_of_its_findings() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(2, 2, 20),))
    dataset = _segmentation(read(films.cr(), opacity))
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence] == ["Opacity"]


def test_a_segment_and_the_group_of_its_region_have_one_tracking() -> None:
    film = everything(films.dx())
    report = parsed(composed(tid1500.REPORT, [film]))
    for segment in list(_segmentation(film).SegmentSequence)[2:]:
        assert _tracking(report)[str(segment.TrackingUID)] == segment.TrackingID
    lines = [str(segment.TrackingID) for segment in _segmentation(film).SegmentSequence]
    assert lines[:3] == ["cxr-node Right Lung", "cxr-node Heart", "cxr-node Opacity"]


def test_a_structure_and_the_group_of_its_measurements_have_one_tracking() -> None:
    """The group names the segment as a second source of its measurements."""
    film = _measured(everything(films.dx()))
    segments = segmentation.SEGMENTATION.compose(request([film]))
    with_segments = replace(request([film]), results=segmentation.SEGMENTATION.referred(segments))
    (result,) = tid1500.REPORT_MEASUREMENTS.compose(with_segments)
    document = parsed(result)

    lung, heart, *_ = parsed(segments[0]).SegmentSequence

    for segment, value in ((lung, 120.0), (heart, 0.53)):
        (group,) = (group for group in _groups(document) if str(segment.TrackingUID) in _tracking(group))
        assert _tracking(group) == {str(segment.TrackingUID): str(segment.TrackingID)}
        assert [float(row.MeasuredValueSequence[0].NumericValue) for row in _rows(group, "NUM")] == [value]
        sources = [row.ReferencedSOPSequence[0] for row in _rows(group, "IMAGE") if row.RelationshipType == "CONTAINS"]
        assert {str(one.ReferencedSOPInstanceUID): one.get("ReferencedSegmentNumber") for one in sources} == {
            segments[0].identity.sop_instance_uid: segment.SegmentNumber,
            film.reading.film.sop_instance_uid: None,
        }


def test_measurements_without_a_segmentation_name_the_film_alone() -> None:
    film = _measured(everything(films.dx()))
    document = parsed(composed(tid1500.REPORT_MEASUREMENTS, [film]))
    uids = {
        str(row.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for _, row in items(document)
        if "ReferencedSOPSequence" in row
    }
    assert uids == {film.reading.film.sop_instance_uid}
    tracked = [uid for group in _groups(document) for uid in _tracking(group)]
    assert len(set(tracked)) == len(tracked)


def test_structures_of_a_film_that_names_no_side_have_none() -> None:
    film = everything(films.dx())
    assert film.reading.geometry is not None
    film = replace(
        film, reading=replace(film.reading, geometry=replace(film.reading.geometry, patient_orientation=None))
    )
    lung = _segmentation(film).SegmentSequence[0]
    assert lung.SegmentLabel == "Lung, side 1"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in lung.SegmentedPropertyTypeCodeSequence[0]
    assert lung.TrackingUID != _segmentation(everything(films.dx())).SegmentSequence[0].TrackingUID


def _measured(film: ReportedFilm) -> ReportedFilm:
    """Return a film with its ratio, and an area of the right lung."""
    area = Measurement(
        key="lung_area/right",
        code=concepts.AREA_OF_LUNG,
        value=120.0,
        unit=concepts.SQUARE_CENTIMETER,
        line=((6.0, 6.0), (12.0, 6.0)),
        provenance="area of the outline",
        site=concepts.LUNG,
        laterality=Laterality.RIGHT,
    )
    return replace(film, reading=replace(film.reading, measurements=(*film.reading.measurements, area)))


def _groups(document: Dataset) -> list[Dataset]:
    return [item for _, item in items(document) if name_of(item) == "125007"]


def _rows(group: Dataset, value_type: str) -> list[Dataset]:
    return [row for _, row in items(group) if row.ValueType == value_type]


def _tracking(document: Dataset) -> dict[str, str]:
    """Return Tracking Identifiers by Tracking UID."""
    names = [str(item.TextValue) for _, item in items(document) if name_of(item) == "112039"]
    uids = [str(item.UID) for _, item in items(document) if name_of(item) == "112040"]
    return dict(zip(uids, names, strict=True))


def test_a_segmentation_lies_on_its_source_without_a_frame_of_reference() -> None:
    header = films.dx(changes={"FrameOfReferenceUID": "1.2.3", "LossyImageCompression": "01"})
    dataset = _segmentation(everything(header))
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        (derivation,) = frame.DerivationImageSequence
        assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == header.SeriesInstanceUID
    assert (dataset.Rows, dataset.Columns) == (header.Rows, header.Columns)
    assert "FrameOfReferenceUID" not in dataset
    assert dataset.LossyImageCompression == "01"
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("source", [None, *SpacingSource])
def test_highdicom_reads_the_segmentation_whatever_the_spacing(source: SpacingSource | None) -> None:
    """highdicom refuses Pixel Measures without Slice Thickness, which a projection does not have."""
    film = everything(films.dx())
    assert film.reading.geometry is not None
    spacing = None if source is None else PixelSpacing(row_mm=1 / 7, column_mm=0.2, source=source)
    geometry = replace(film.reading.geometry, spacing=spacing)
    film = replace(film, reading=replace(film.reading, geometry=geometry))

    (result,) = segmentation.SEGMENTATION.compose(request([film]))

    read = highdicom.seg.segread(BytesIO(result.content))
    assert read.number_of_segments == 5
    assert "PixelMeasuresSequence" not in read.SharedFunctionalGroupsSequence[0]


def test_a_structure_outside_the_film_has_no_segment() -> None:
    beyond = _outlined(films.cr(rows=64, columns=48), Anatomy.HEART, square(100, 100, 20))
    assert segmentation.SEGMENTATION.compose(request([beyond])) == []
    nothing = _outlined(films.cr(), Anatomy.HEART)
    assert segmentation.SEGMENTATION.compose(request([nothing])) == []


def test_structures_without_a_fitting_standard_code_have_no_segment() -> None:
    without_segment = {
        Anatomy.BRONCHI,
        Anatomy.POSTERIOR_RIBS,
        Anatomy.ANTERIOR_RIBS,
        Anatomy.RIGHT_HEMIDIAPHRAGM,
        Anatomy.LEFT_HEMIDIAPHRAGM,
    }
    assert set(Anatomy) - set(segments.SEGMENTS) == without_segment
    assert all(code.scheme_designator == "SCT" for code, _, _ in segments.SEGMENTS.values())
    for key in without_segment:
        film = _outlined(films.cr(), key, square(2, 2, 20))
        assert segmentation.SEGMENTATION.compose(request([film])) == []


def test_the_instance_depends_on_outlines_and_not_on_time() -> None:
    film = _outlined(films.cr(), Anatomy.HEART, square(2, 2, 20))
    first = composed(segmentation.SEGMENTATION, [film])
    later = composed(segmentation.SEGMENTATION, [film], now=NOW + timedelta(days=1))
    moved = composed(segmentation.SEGMENTATION, [_outlined(films.cr(), Anatomy.HEART, square(3, 2, 20))])
    assert first.identity == later.identity
    assert first.identity != moved.identity


@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("PatientID", "OTHER", "PatientID is not that of the source"),
        ("SegmentationType", "FRACTIONAL", "SegmentationType is not BINARY"),
        ("SegmentSequence", None, "SegmentSequence has no value"),
    ],
)
def test_a_broken_promise_of_a_segmentation_is_reported(keyword: str, value: str | None, sentence: str) -> None:
    study = collate([everything(films.cr())])
    dataset = _segmentation(study[0])
    assert faults_of(dataset, study, segmentation.SEGMENTATION.result_type) == ()
    setattr(dataset, keyword, value)
    assert faults_of(dataset, study, segmentation.SEGMENTATION.result_type) == (sentence,)


def test_a_segmentation_of_another_film_is_a_fault() -> None:
    dataset = _segmentation(everything(films.cr()))
    other = collate([everything(films.dx())])
    assert "the references do not name the sources" in faults_of(dataset, other, segmentation.SEGMENTATION.result_type)


@pytest.mark.slow
def test_a_large_film_takes_one_bit_per_pixel_and_segment() -> None:
    film = everything(films.cr(rows=3000, columns=2500))
    result = composed(segmentation.SEGMENTATION, [film])
    assert len(result.content) < 5 * 3000 * 2500 / 8 + 10_000
