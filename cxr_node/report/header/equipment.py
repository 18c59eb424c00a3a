"""Contributing Equipment Sequence (0018,A001): the modality, and each model (PS3.3 C.12.1)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import derive_uid
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.report import codes
from cxr_node.report.header.elements import item, keywords

_ACQUISITION = keywords("""
    Manufacturer InstitutionName StationName InstitutionalDepartmentName ManufacturerModelName DeviceSerialNumber
    SoftwareVersions
""")
_LO_CHARACTERS = 64
_ST_CHARACTERS = 1024


def contributing_equipment(header: Dataset, readings: Sequence[Reading]) -> list[Dataset]:
    """Return an item for the modality of the film, and one for each model that analysed it."""
    models: dict[tuple[str, str, str], ModelIdentity] = {}
    grayscales: dict[tuple[str, str, str], dict[str, None]] = {}
    for reading in readings:
        for model in reading.prediction.models if reading.prediction else ():
            key = model.weights_digest, model.name, model.version
            models[key] = model
            grayscales.setdefault(key, {})[reading.grayscale] = None
    modality = [_modality(header)] if header.get("Manufacturer") else []
    return [*modality, *(_model(models[key], list(grayscales[key])) for key in sorted(models))]


def _modality(header: Dataset) -> Dataset:
    equipment = _item(codes.ACQUISITION_EQUIPMENT)
    for keyword in _ACQUISITION:
        if header.get(keyword):
            equipment.add(header[keyword])
    return equipment


def _model(model: ModelIdentity, grayscales: Sequence[str]) -> Dataset:
    equipment = _item(codes.PROCESSING_EQUIPMENT)
    equipment.Manufacturer = model.manufacturer[:_LO_CHARACTERS]
    equipment.ManufacturerModelName = model.name[:_LO_CHARACTERS]
    equipment.SoftwareVersions = model.version[:_LO_CHARACTERS]
    equipment.DeviceUID = derive_uid("model", model.name, model.version, model.weights_digest)
    equipment.ContributionDescription = _description(model, grayscales)[:_ST_CHARACTERS]
    return equipment


def _description(model: ModelIdentity, grayscales: Sequence[str]) -> str:
    """Return what reproduces the scores of a model: weights, preparation, and how the films became gray values."""
    lines = [
        f"Analysis of the image; weights SHA-256 {model.weights_digest}",
        f"preparation={model.preparation}",
        f"operating_points={model.operating_points}",
        *(f"grayscale={one}" for one in grayscales),
    ]
    return "; ".join(lines)


def _item(purpose: Code) -> Dataset:
    return item(PurposeOfReferenceCodeSequence=[coded(purpose)])


def coded(entry: Code) -> Dataset:
    """Return an item of a code sequence (PS3.3 table 8.8-1)."""
    return item(CodeValue=entry.value, CodingSchemeDesignator=entry.scheme_designator, CodeMeaning=entry.meaning)
