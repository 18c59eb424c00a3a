"""Segmentation of the anatomy: pixels, codes, references."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.radiograph import PixelSpacing, SpacingSource
from cxr_node.domain.reading import Region, Structure
from cxr_node.report.check import faults_of
from cxr_node.report.kinds import segmentation
from cxr_node.report.pictures.masks import joined, packed
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import NOW, composed, everything, parsed, read, request, square


def _segmentation(film: ReportedFilm) -> Dataset:
    return parsed(composed(segmentation.SEGMENTATION, [film]))


def _outlined(header: Dataset, key: Anatomy, *regions: Region) -> ReportedFilm:
    return read(header, structures=(Structure(key=key, confidence=0.9, regions=regions),))


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
    lung, heart = dataset.pixel_array
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence] == ["Right Lung", "Heart"]
    assert lung.shape == (rows, columns)
    side = columns / 8
    assert abs(int(lung.sum()) - (4 - 0.25) * side**2) < 5 * side
    assert lung[round(side * 1.2), round(side * 1.2)] == 1
    assert lung[round(side * 1.7), round(side * 1.7)] == 0
    assert heart[round(side * 5), round(side * 4)] == 1
    assert not (lung & heart).any()


def test_a_segment_states_structure_side_and_algorithm() -> None:
    film = everything(films.dx())
    lung, heart = _segmentation(film).SegmentSequence
    (kind,) = lung.SegmentedPropertyTypeCodeSequence
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("39607008", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in heart.SegmentedPropertyTypeCodeSequence[0]
    (algorithm,) = heart.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("chest-opacity", "1.0")
    assert lung.TrackingUID != heart.TrackingUID
    assert lung.TrackingUID == _segmentation(film).SegmentSequence[0].TrackingUID


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
    assert numbers == [1, 2]


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
    assert read.number_of_segments == 2
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
    assert set(Anatomy) - set(segmentation.SEGMENTS) == without_segment
    assert all(code.scheme_designator == "SCT" for code, _, _ in segmentation.SEGMENTS.values())
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


def test_a_large_film_takes_one_bit_per_pixel_and_segment() -> None:
    film = everything(films.cr(rows=3000, columns=2500))
    result = composed(segmentation.SEGMENTATION, [film])
    assert len(result.content) < 2 * 3000 * 2500 / 8 + 10_000
