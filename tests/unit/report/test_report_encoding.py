"""Encoder of data sets against pydicom's: the same bytes."""

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from cxr_node.report.header.encoding import encoded
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import RESULT_KINDS
from tests.support import films
from tests.unit.report.studies import everything, parsed, request, with_bytes


def by_pydicom(dataset: Dataset) -> bytes:
    target = DicomBytesIO()
    target.is_little_endian, target.is_implicit_VR = True, False
    write_dataset(target, dataset, parent_encoding="utf8")
    return target.getvalue()


_NAMED = {"SpecificCharacterSet": b"ISO_IR 192", "PatientName": "Müller^Łucja=山田^太郎".encode()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RESULT_KINDS, ids=lambda kind: str(kind.name))
def test_a_result_of_each_kind_is_encoded_as_by_pydicom(kind: ResultKind) -> None:
    film = everything(with_bytes(films.dx(), _NAMED))

    for instance in kind.compose(request([film])):
        read = parsed(instance)
        del read.file_meta
        assert instance.content[films.data_set_offset(instance.content) :] == by_pydicom(read)


def _odd(dataset: Dataset) -> None:
    dataset.CodeMeaning = "odd"
    dataset.SOPInstanceUID = "1.2.345"


def _empty(dataset: Dataset) -> None:
    dataset.PatientID = ""
    dataset.PatientBirthDate = None
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PixelSpacing = None
    dataset.GraphicData = None


def _several(dataset: Dataset) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PixelSpacing = [0.143, "0.1430"]
    dataset.OtherPatientNames = ["A^B", "C^D"]
    dataset.GraphicData = [0.5, 1.25, 3.0]
    dataset.FloatingPointValue = 0.1
    dataset.RecommendedDisplayCIELabValue = [1, 2, 3]
    dataset.SimpleFrameList = [1, 70_000]


def _nested(dataset: Dataset) -> None:
    inner, outer = Dataset(), Dataset()
    inner.CodeMeaning = "größer 山"
    outer.ConceptNameCodeSequence = [inner, Dataset()]
    dataset.ContentSequence = [outer]


def _undefined(dataset: Dataset) -> None:
    _nested(dataset)
    dataset["ContentSequence"].is_undefined_length = True
    dataset.ContentSequence[0].is_undefined_length_sequence_item = True


def _long(dataset: Dataset) -> None:
    dataset.TextValue = "x" * 70_001
    dataset.PixelData = b"\1" * 70_000
    dataset["PixelData"].VR = "OB"


def _rare(dataset: Dataset) -> None:
    dataset.FrameIncrementPointer = 0x00181063
    dataset.PatientAge = "045Y"
    dataset.AcquisitionDateTime = "20260301123015"
    dataset.add_new(0x00091010, "UN", b"private")


def _ambiguous_vr(dataset: Dataset) -> None:
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = -5


@pytest.mark.parametrize(
    "fill",
    [_odd, _empty, _several, _nested, _undefined, _long, _rare, _ambiguous_vr],
    ids=lambda fill: fill.__name__,
)
def test_elements_of_every_vr_are_encoded_as_by_pydicom(fill: Callable[[Dataset], None]) -> None:
    dataset = Dataset()
    fill(dataset)

    assert encoded(dataset) == by_pydicom(dataset)


def test_raw_bytes_of_a_film_are_written_in_utf_8() -> None:
    raw = with_bytes(films.cr(), {"SpecificCharacterSet": b"ISO_IR 100", "PatientName": b"M\xfcller"})

    assert encoded(raw) == by_pydicom(raw)
