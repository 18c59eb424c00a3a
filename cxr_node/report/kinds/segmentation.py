"""Binary Segmentation (PS3.3 section A.51): one per film, one segment for each structure and region of a finding."""

from collections.abc import Sequence
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Laterality, ModelIdentity
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import item, keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.equipment import coded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import instance_reference, series_item
from cxr_node.report.header.uids import tracking_identifier, tracking_uid
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.pictures.masks import joined, packed_mask
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.result_type import ResultType
from cxr_node.report.segments import Segment, segments_of
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm
from cxr_node.report.study import collate

_TYPE = ResultType(
    name="SEG",
    sop_class_uid=Uid(SegmentationStorage),
    modality="SEG",
    series_offset=9,
    series_description="AI CXR segments - RESEARCH",
    type_1=keywords("""
        ContentDate ContentTime ContentLabel Rows Columns BitsAllocated PixelData PhotometricInterpretation
        SamplesPerPixel ImageType SegmentationType SegmentSequence NumberOfFrames SharedFunctionalGroupsSequence
        PerFrameFunctionalGroupsSequence DimensionOrganizationSequence DimensionIndexSequence ReferencedSeriesSequence
        LossyImageCompression
    """),  # PS3.3 C.8.20.2
    type_2=("ContentDescription", "ContentCreatorName", "PatientOrientation"),
    flags={"SegmentationType": "BINARY"},
    referred_as=codes.SEGMENTATION_OBJECT,
)

_LABEL_CHARACTERS = 64
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_REFERENCED_SEGMENT_NUMBER = 0x0062000B
_SEGMENT_IDENTIFICATION_SEQUENCE = 0x0062000A

_Masked = tuple[Segment, bytes]


def compose_film(film: ReportedFilm, request: ComposeRequest, instance_number: int) -> Instance | None:
    """Return anatomy and regions of a film, or None where none is outlined.

    Memory: a byte for each pixel of the film and a bit for each pixel of each segment.
    """
    films = collate([film])
    segments = _masked(films[0])
    if not segments:
        return None
    content = _content(films[0], segments, request.observer)
    identity = identity_of(films, _TYPE, request.observer, content=digest_of(encoded(content)))
    dataset = header(films, identity, _TYPE, request, instance_number)
    dataset.update(content)
    require_sound(dataset, films, _TYPE)
    return instance_of(encoded(dataset), identity)


def segment_numbers(result: Instance) -> dict[str, int]:
    """Return the number of each segment of a segmentation by its Tracking UID."""
    read = dcmread(BytesIO(result.content), stop_before_pixels=True, specific_tags=["SegmentSequence"])
    return {str(segment.TrackingUID): int(segment.SegmentNumber) for segment in read.SegmentSequence}


def _masked(film: ReportedFilm) -> list[_Masked]:
    """Return the segments that cover a pixel, each with its packed mask."""
    columns, rows = (int(side) for side in bounds(film))
    masked = ((segment, packed_mask(segment.outlines, rows, columns)) for segment in segments_of(film))
    return [(segment, mask) for segment, mask in masked if mask]


def _content(film: ReportedFilm, segments: Sequence[_Masked], observer: Observer) -> Dataset:
    """Return segments, dimensions, frames and pixels."""
    content = Dataset()
    content.ContentLabel = "AI_SEGMENTS"
    content.ContentDescription = "Computer analysis, research use only"
    content.ContentCreatorName = "cxr-node^"
    content.BodyPartExamined = "CHEST"  # of a paired part Laterality would be required (PS3.3 C.7.3.1)
    source = film.reading.film
    content.SegmentSequence = [
        _segment(number, segment, source, observer) for number, (segment, _) in enumerate(segments, start=1)
    ]
    references = [instance_reference(source.sop_class_uid, source.sop_instance_uid)]
    content.ReferencedSeriesSequence = [series_item(source.series_instance_uid, ReferencedInstanceSequence=references)]
    _add_frames(content, film, len(segments))
    _add_image(content, film)
    columns, rows = (int(side) for side in bounds(film))
    content.Rows, content.Columns = rows, columns
    content.PixelData = joined([mask for _, mask in segments], rows * columns)
    content["PixelData"].VR = "OB"
    return content


def _segment(number: int, segment: Segment, film: Identity, observer: Observer) -> Dataset:
    """Return the description of a segment."""
    described = Dataset()
    described.SegmentNumber = number
    described.SegmentLabel = segment.name(observer.language)[:_LABEL_CHARACTERS]
    described.SegmentDescription = segment.description(observer.language)
    described.SegmentAlgorithmType = "AUTOMATIC"
    described.SegmentAlgorithmName = f"{segment.model.name} {segment.model.version}"[:_LABEL_CHARACTERS]
    described.SegmentationAlgorithmIdentificationSequence = [_algorithm(segment.model)]
    described.SegmentedPropertyCategoryCodeSequence = [coded(segment.category)]
    described.SegmentedPropertyTypeCodeSequence = [
        _with_side(segment.code, segment.side, "SegmentedPropertyTypeModifierCodeSequence")
    ]
    if segment.site is not None:
        described.AnatomicRegionSequence = [
            _with_side(segment.site, segment.site_side, "AnatomicRegionModifierSequence")
        ]
    described.TrackingID = tracking_identifier(observer, segment.label)
    described.TrackingUID = tracking_uid(film.sop_instance_uid, segment.key)
    described.RecommendedDisplayCIELabValue = list(segment.color)
    return described


def _with_side(code: Code, side: Laterality | None, keyword: str) -> Dataset:
    """Return a code with its side as the modifier `keyword`."""
    described = coded(code)
    if side is not None:
        setattr(described, keyword, [coded(codes.LATERALITIES[side])])
    return described


def _algorithm(model: ModelIdentity) -> Dataset:
    return item(
        AlgorithmFamilyCodeSequence=[coded(codes.ARTIFICIAL_INTELLIGENCE)],
        AlgorithmName=model.name[:_LABEL_CHARACTERS],
        AlgorithmVersion=model.version[:_LABEL_CHARACTERS],
        AlgorithmParameters=f"weights_sha256={model.weights_digest}; preparation={model.preparation}",
        AlgorithmSource=model.manufacturer[:_LABEL_CHARACTERS],
    )


def _add_frames(content: Dataset, film: ReportedFilm, number: int) -> None:
    """Add a frame for each segment. A projection has no Frame of Reference: each frame lies on its source's pixels."""
    organization = derive_uid("dimensions", film.reading.film.sop_instance_uid)
    content.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organization)]
    content.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=_REFERENCED_SEGMENT_NUMBER,
            FunctionalGroupPointer=_SEGMENT_IDENTIFICATION_SEQUENCE,
            DimensionDescriptionLabel="Segment Number",
        )
    ]
    # Without Pixel Measures: highdicom requires Slice Thickness there, and the film states its own spacing.
    content.SharedFunctionalGroupsSequence = [Dataset()]
    # The source stands in each frame, not in the shared groups: viewers search frames by source there only.
    content.PerFrameFunctionalGroupsSequence = [_frame(segment, film.reading.film) for segment in range(1, number + 1)]
    content.NumberOfFrames = number


def _derivation(film: Identity) -> Dataset:
    source = instance_reference(film.sop_class_uid, film.sop_instance_uid)
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE)]
    return item(SourceImageSequence=[source], DerivationCodeSequence=[coded(codes.SEGMENTATION)])


def _frame(segment_number: int, film: Identity) -> Dataset:
    return item(
        DerivationImageSequence=[_derivation(film)],
        FrameContentSequence=[item(DimensionIndexValues=[segment_number])],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment_number)],
    )


def _add_image(content: Dataset, film: ReportedFilm) -> None:
    geometry = film.reading.geometry
    content.ImageType = ["DERIVED", "PRIMARY"]
    content.PatientOrientation = list((geometry and geometry.patient_orientation) or ())
    content.BurnedInAnnotation = "NO"
    content.SegmentationType = "BINARY"
    content.LossyImageCompression = "00"
    for keyword in _LOSSY:
        if film.header.get(keyword):
            content.add(film.header[keyword])
    content.SamplesPerPixel = 1
    content.PhotometricInterpretation = "MONOCHROME2"
    content.BitsAllocated = 1
    content.BitsStored = 1
    content.HighBit = 0
    content.PixelRepresentation = 0


SEGMENTATION = film_kind("segmentation", _TYPE, compose_film)
