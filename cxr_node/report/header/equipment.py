"""Contributing Equipment Sequence (0018,A001): the modality, and each model (PS3.3 C.12.1)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.report import codes

_ACQUISITION = [
    "Manufacturer",
    "InstitutionName",
    "StationName",
    "InstitutionalDepartmentName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
]
_LO_CHARACTERS = 64


def contributing_equipment(header: Dataset, readings: Sequence[Reading]) -> list[Dataset]:
    """Return an item for the modality of the film, and one for each model that analysed it."""
    models = {
        reading.prediction.model.weights_digest: reading.prediction.model for reading in readings if reading.prediction
    }
    modality = [_modality(header)] if header.get("Manufacturer") else []
    return [*modality, *(_model(models[digest]) for digest in sorted(models))]


def _modality(header: Dataset) -> Dataset:
    item = _item(codes.ACQUISITION_EQUIPMENT)
    for keyword in _ACQUISITION:
        if header.get(keyword):
            item.add(header[keyword])
    return item


def _model(model: ModelIdentity) -> Dataset:
    item = _item(codes.PROCESSING_EQUIPMENT)
    item.Manufacturer = model.manufacturer[:_LO_CHARACTERS]
    item.ManufacturerModelName = model.name[:_LO_CHARACTERS]
    item.SoftwareVersions = model.version[:_LO_CHARACTERS]
    item.ContributionDescription = f"Analysis of the image; weights SHA-256 {model.weights_digest}"
    return item


def _item(purpose: Code) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(purpose)]
    return item


def coded(entry: Code) -> Dataset:
    """Return an item of a code sequence (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.CodeValue = entry.value
    item.CodingSchemeDesignator = entry.scheme_designator
    item.CodeMeaning = entry.meaning
    return item
