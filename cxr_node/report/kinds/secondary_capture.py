"""Secondary Captures of the film as it hangs, beside itself with findings or anatomy: one of each per film.

Every archive shows them. The one with anatomy, borders, densities and calipers is a kind of its own, sent on request.
They are compressed with JPEG, and sent uncompressed to a destination that takes nothing else (decision 0181).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from cxr_node.domain.hanging import hang_reading
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.equipment import coded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import instance_reference
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.pictures.overlay import ANATOMY, FINDINGS, Overlay
from cxr_node.report.pictures.picture import canvas
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm
from cxr_node.report.study import collate

_TYPE = ResultType(
    name="SC",
    sop_class_uid=Uid(SecondaryCaptureImageStorage),
    modality="OT",
    series_offset=29,
    series_description="AI CXR picture - RESEARCH",
    type_1=keywords("""
        Rows Columns BitsAllocated PixelData PhotometricInterpretation SamplesPerPixel ImageType SourceImageSequence
        ConversionType BurnedInAnnotation DerivationDescription LossyImageCompression LossyImageCompressionRatio
        LossyImageCompressionMethod
    """),  # PS3.3 C.8.6.1, C.7.6.1.1.5
    type_2=("PatientOrientation",),
    flags={"BurnedInAnnotation": "YES"},
    referred_as=codes.BEST_ILLUSTRATION,
)

_ANATOMY_TYPE = replace(
    _TYPE, name="SC-ANATOMY", series_offset=28, series_description="AI CXR anatomy picture - RESEARCH"
)
_DERIVATION = "Reduced to 8 bits and screen size; outlines, calipers and text of a computer analysis drawn in"
_JPEG_QUALITY = 90
_SAMPLES = 3
_HALF_THE_COLUMNS = 1
"""Chroma subsampling of YBR_FULL_422, the color space of this transfer syntax (PS3.5 table 8.2.1-1)."""


def _compose(
    result_type: ResultType, shown: Overlay, film: ReportedFilm, request: ComposeRequest, instance_number: int
) -> Instance | None:
    """Return the picture of a film, or None of one that was not analysed or cannot be decoded any more."""
    reduced = None if film.reading.prediction is None else request.load_film(film)
    if reduced is None:
        return None
    films = collate([film])
    hanging = replace(films[0], reading=hang_reading(film.reading))
    picture = canvas(reduced, hanging, request.observer.language, shown=shown)
    identity = identity_of(films, result_type, request.observer, content=digest_of(picture.tobytes()))
    dataset = header(films, identity, result_type, request, instance_number)
    _add_general_image(dataset, films[0], reduced)
    _add_pixels(dataset, films[0].header, picture)
    require_sound(dataset, films, result_type)
    return instance_of(encoded(dataset), identity, JPEGBaseline8Bit)


def _add_general_image(dataset: Dataset, film: ReportedFilm, reduced: ReducedFilm) -> None:
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = list(reduced.patient_orientation or ())
    dataset.BodyPartExamined = "CHEST"  # of a paired part Laterality would be required (PS3.3 C.7.3.1)
    dataset.BurnedInAnnotation = "YES"
    dataset.DerivationDescription = _DERIVATION
    dataset.SourceImageSequence = [_source(film.reading.film)]


def _source(film: Identity) -> Dataset:
    item = instance_reference(film.sop_class_uid, film.sop_instance_uid)
    item.PurposeOfReferenceCodeSequence = [coded(codes.SOURCE_IMAGE)]
    return item


def _add_pixels(dataset: Dataset, film_header: Dataset, picture: Image.Image) -> None:
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = picture.height, picture.width, _SAMPLES
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8
    dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    target = BytesIO()
    picture.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=_HALF_THE_COLUMNS)
    compressed = target.getvalue()
    dataset.PixelData = encapsulate([compressed])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.LossyImageCompression = "01"
    ratio = picture.height * picture.width * _SAMPLES / len(compressed)
    ratios = (*_values(film_header, "LossyImageCompressionRatio"), f"{ratio:.2f}")
    dataset.LossyImageCompressionRatio = list(ratios)
    methods = (*_values(film_header, "LossyImageCompressionMethod"), "ISO_10918_1")
    dataset.LossyImageCompressionMethod = list(methods)


def _values(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield what a film that was compressed itself states, to which the picture's own value is added."""
    value = header.get(keyword)
    if value is not None and value != "":
        yield from [str(value)] if isinstance(value, str | float) else map(str, value)


PICTURE = film_kind("picture", _TYPE, partial(_compose, _TYPE, FINDINGS))
ANATOMY_PICTURE = film_kind("picture-anatomy", _ANATOMY_TYPE, partial(_compose, _ANATOMY_TYPE, ANATOMY))
