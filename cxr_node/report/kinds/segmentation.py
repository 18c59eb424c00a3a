"""Binary Segmentation of the outlined anatomy (PS3.3 section A.51): one per film, one segment per structure."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy, key_without_side
from cxr_node.domain.codes import Code
from cxr_node.domain.hanging import states_sides
from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Laterality, ModelIdentity, Structure
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import item, keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.equipment import coded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import instance_reference, series_item
from cxr_node.report.header.uids import tracking_uid
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.pictures.masks import joined, packed_mask
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm
from cxr_node.report.study import collate

_TYPE = ResultType(
    name="SEG",
    sop_class_uid=Uid(SegmentationStorage),
    modality="SEG",
    series_offset=9,
    series_description="AI CXR anatomy - RESEARCH",
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

SEGMENTS: Mapping[Anatomy, tuple[Code, Laterality | None, tuple[int, int, int]]] = {
    Anatomy.RIGHT_LUNG: (concepts.LUNG, Laterality.RIGHT, (46532, 29177, 23878)),
    Anatomy.LEFT_LUNG: (concepts.LUNG, Laterality.LEFT, (46532, 29177, 23878)),
    Anatomy.HEART: (concepts.HEART, None, (39895, 41393, 28012)),
    Anatomy.AORTA: (concepts.AORTA, None, (37041, 46851, 45714)),
    Anatomy.TRACHEA: (concepts.TRACHEA, None, (37862, 21919, 37057)),
    Anatomy.RIGHT_CLAVICLE: (concepts.CLAVICLE, Laterality.RIGHT, (58993, 31607, 51046)),
    Anatomy.LEFT_CLAVICLE: (concepts.CLAVICLE, Laterality.LEFT, (58993, 31607, 51046)),
    Anatomy.RIGHT_SCAPULA: (concepts.SCAPULA, Laterality.RIGHT, (46532, 39000, 52000)),
    Anatomy.LEFT_SCAPULA: (concepts.SCAPULA, Laterality.LEFT, (46532, 39000, 52000)),
    Anatomy.SPINE: (concepts.THORACIC_SPINE, None, (52428, 33000, 40000)),
}
"""Structure to its code, its side and a color as PCS-values (PS3.3 section C.10.7.1.1).

Structures without a standard code (ribs, main bronchi) are left out, and so are the hemidiaphragms: their outline has
all that lies below the dome, which the name diaphragm would not say.
"""

_LABEL_CHARACTERS = 64
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_REFERENCED_SEGMENT_NUMBER = 0x0062000B
_SEGMENT_IDENTIFICATION_SEQUENCE = 0x0062000A

_MaskedStructure = tuple[Structure, bytes]


def compose_film(film: ReportedFilm, request: ComposeRequest, instance_number: int) -> Instance | None:
    """Return the anatomy of a film, or None where none is outlined.

    Memory: a byte for each pixel of the film and a bit for each pixel of each segment.
    """
    films = collate([film])
    segments = _masked(films[0])
    prediction = films[0].reading.prediction
    if not segments or prediction is None:
        return None
    content = _content(films[0], prediction.anatomy_model, segments)
    identity = identity_of(films, _TYPE, request.observer, content=digest_of(encoded(content)))
    dataset = header(films, identity, _TYPE, request, instance_number)
    dataset.update(content)
    require_sound(dataset, films, _TYPE)
    return instance_of(encoded(dataset), identity)


def _masked(film: ReportedFilm) -> list[_MaskedStructure]:
    """Return the structures with a segment that cover a pixel, each with its packed mask."""
    columns, rows = (int(side) for side in bounds(film))
    prediction = film.reading.prediction
    masked: list[_MaskedStructure] = []
    for structure in () if prediction is None else prediction.structures:
        if structure.key in SEGMENTS and structure.regions:
            mask = packed_mask((region.outline for region in structure.regions), rows, columns)
            if mask:
                masked.append((structure, mask))
    return masked


def _content(film: ReportedFilm, model: ModelIdentity, segments: Sequence[_MaskedStructure]) -> Dataset:
    """Return segments, dimensions, frames and pixels."""
    content = Dataset()
    content.ContentLabel = "AI_ANATOMY"
    content.ContentDescription = "Computer analysis, research use only"
    content.ContentCreatorName = "cxr-node^"
    content.BodyPartExamined = "CHEST"  # of a paired part Laterality would be required (PS3.3 C.7.3.1)
    content.SegmentSequence = [
        _segment(number, structure, film, model) for number, (structure, _) in enumerate(segments, start=1)
    ]
    source = film.reading.film
    references = [instance_reference(source.sop_class_uid, source.sop_instance_uid)]
    content.ReferencedSeriesSequence = [series_item(source.series_instance_uid, ReferencedInstanceSequence=references)]
    _add_frames(content, film, len(segments))
    _add_image(content, film)
    columns, rows = (int(side) for side in bounds(film))
    content.Rows, content.Columns = rows, columns
    content.PixelData = joined([mask for _, mask in segments], rows * columns)
    content["PixelData"].VR = "OB"
    return content


def _segment(number: int, structure: Structure, film: ReportedFilm, model: ModelIdentity) -> Dataset:
    """Return the description of a segment, without its side if the film's header does not say which side is which."""
    code, side, color = SEGMENTS[Anatomy(structure.key)]
    key = structure.key
    if side is not None and not (film.reading.geometry and states_sides(film.reading.geometry)):
        key, side = key_without_side(structure.key), None
    segment = Dataset()
    segment.SegmentNumber = number
    segment.SegmentLabel = code.meaning if side is None else f"{codes.LATERALITIES[side].meaning} {code.meaning}"
    if key != structure.key:
        segment.SegmentLabel += ", side 1" if "side_1" in key else ", side 2"
    segment.SegmentDescription = f"{segment.SegmentLabel}, outlined by {model.name} {model.version}"
    segment.SegmentAlgorithmType = "AUTOMATIC"
    segment.SegmentAlgorithmName = f"{model.name} {model.version}"[:_LABEL_CHARACTERS]
    segment.SegmentationAlgorithmIdentificationSequence = [_algorithm(model)]
    segment.SegmentedPropertyCategoryCodeSequence = [coded(codes.ANATOMICAL_STRUCTURE)]
    segment.SegmentedPropertyTypeCodeSequence = [coded(code)]
    if side is not None:
        modifier = [coded(codes.LATERALITIES[side])]
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifier
    segment.TrackingID = f"cxr-node {key}"
    segment.TrackingUID = tracking_uid(film.reading.film.sop_instance_uid, key)
    segment.RecommendedDisplayCIELabValue = list(color)
    return segment


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
