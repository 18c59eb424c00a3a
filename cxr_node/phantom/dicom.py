"""Writes a phantom as a DX modality does: Digital X-Ray Image Storage - For Presentation."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.phantom.truth_types import PhantomFilm

EXAMPLE_TIME: Final = datetime(2024, 5, 1, 10, 15)  # noqa: DTZ001  # DICOM's DA and TM carry no zone
"""Acquisition time of the example films."""

_CHEST = Code(value="43799004", scheme_designator="SCT", meaning="Chest")
_VIEWS: Final[Mapping[View, Code]] = {  # PS3.16 CID 4010
    View.PA: Code(value="272479007", scheme_designator="SCT", meaning="postero-anterior"),
    View.AP: Code(value="399348003", scheme_designator="SCT", meaning="antero-posterior"),
    View.LATERAL: Code(value="399173006", scheme_designator="SCT", meaning="left lateral"),
}
_VIEW_POSITIONS: Final[Mapping[View, str]] = {View.PA: "PA", View.AP: "AP", View.LATERAL: "LL"}
_MARGIN = 0.08
"""Share of the range of stored values left unused at either end if a window is sent."""


class Voi(StrEnum):
    """VOI transform of the stored values (PS3.3 section C.11.2)."""

    WINDOW = "window"
    LUT = "VOI LUT Sequence"


def dataset(
    film: PhantomFilm,
    *,
    now: datetime,
    patient_name: str | None = None,
    patient_id: str | None = None,
    study_instance_uid: Uid | None = None,
    accession_number: str = "",
    bits_stored: int = 12,
    photometric_interpretation: str = "MONOCHROME2",
    voi: Voi = Voi.WINDOW,
) -> FileDataset:
    """Return `film` as a file to send, uncompressed; equal arguments give equal bytes and UIDs.

    PS3.3 section A.26. Films of one seed share patient and study, whatever the view. `bits_stored` is
    10 to 16; with MONOCHROME1 the stored values are inverted and the film looks the same.
    """
    stored = _to_stored_values(film, bits_stored=bits_stored, voi=voi)
    if photometric_interpretation == "MONOCHROME1":
        stored = ((1 << bits_stored) - 1 - stored).astype(np.uint16)
    seed, view = str(film.truth.seed), film.truth.view
    uid = derive_uid("phantom", seed, view, photometric_interpretation, voi, digest_of(stored.tobytes()))
    out = FileDataset("", {}, file_meta=_file_meta(uid), preamble=b"\0" * 128)
    out.SpecificCharacterSet = "ISO_IR 100"
    out.SOPClassUID, out.SOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    out.StudyInstanceUID = UID(study_instance_uid or derive_uid("phantom", seed, "study"))
    out.SeriesInstanceUID = UID(derive_uid("phantom", out.StudyInstanceUID, view, "series"))
    _patient(out, film, now, patient_name or f"PHANTOM^{seed}", patient_id or f"PHANTOM-{seed}")
    _study(out, now, accession_number)
    _acquisition(out, film)
    _pixels(out, stored, bits_stored, photometric_interpretation)
    _grayscale(out, bits_stored, photometric_interpretation, voi)
    return out


def write_examples(folder: Path, *, size: int = 640) -> list[Path]:
    """Write a normal chest, one with consolidation, and a lateral view into `folder`, and return their paths."""
    from cxr_node.phantom.film import film
    from cxr_node.phantom.pathology import Kind, Pathology

    folder.mkdir(parents=True, exist_ok=True)
    pneumonia = Pathology(kind=Kind.CONSOLIDATION, severity=0.8)
    examples = {
        "normal": film(seed=11, rows=size, columns=size),
        "consolidation": film(seed=12, rows=size, columns=size, pathology=[pneumonia]),
        "lateral": film(seed=13, rows=size, columns=size, view=View.LATERAL),
    }
    return [_write_example(example, folder / f"{name}.dcm") for name, example in examples.items()]


def write_lateral_example(folder: Path, *, size: int = 640) -> Path:
    """Write the lateral view of the examples into `folder`, and return its path."""
    from cxr_node.phantom.film import film

    return _write_example(film(seed=13, rows=size, columns=size, view=View.LATERAL), folder / "lateral.dcm")


def _write_example(example: PhantomFilm, path: Path) -> Path:
    dataset(example, now=EXAMPLE_TIME).save_as(path, enforce_file_format=True)
    return path


def _to_stored_values(film: PhantomFilm, *, bits_stored: int, voi: Voi) -> UInt16:
    """Return stored values from which the window or LUT restores the film's P-values, within rounding."""
    maximum = (1 << bits_stored) - 1
    p_values = film.p_values.astype(np.float64) / WHITE
    if voi is Voi.LUT:
        return np.interp(p_values, _curve(bits_stored) / WHITE, np.arange(maximum + 1)).round().astype(np.uint16)
    low, high = _window_ends(bits_stored)
    return (low + p_values * (high - low)).round().astype(np.uint16)


def _window_ends(bits_stored: int) -> tuple[int, int]:
    maximum = (1 << bits_stored) - 1
    return round(_MARGIN * maximum), round((1 - _MARGIN) * maximum)


def _curve(bits_stored: int) -> UInt16:
    """Return the entries of the VOI LUT: rising, with the toe and shoulder of film."""
    x = np.linspace(0.0, 1.0, 1 << bits_stored)
    return ((0.5 * x + 0.5 * x * x * (3 - 2 * x)) * WHITE).round().astype(np.uint16)


def _file_meta(uid: Uid) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _patient(out: Dataset, film: PhantomFilm, now: datetime, name: str, identifier: str) -> None:
    anatomy = film.truth.anatomy
    out.PatientName, out.PatientID = name, identifier
    out.PatientBirthDate = f"{now.year - int(anatomy.age) - 1}0701"
    out.PatientSex = anatomy.sex.value
    out.PatientAge = f"{int(anatomy.age):03d}Y"


def _study(out: Dataset, now: datetime, accession_number: str) -> None:
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    out.StudyDate = out.SeriesDate = out.AcquisitionDate = out.ContentDate = day
    out.StudyTime = out.SeriesTime = out.AcquisitionTime = out.ContentTime = time
    out.AccessionNumber, out.StudyID, out.ReferringPhysicianName = accession_number, "1", ""
    out.StudyDescription, out.SeriesNumber, out.InstanceNumber = "Chest", 1, 1
    out.Modality, out.PresentationIntentType = "DX", "FOR PRESENTATION"
    out.Manufacturer, out.ManufacturerModelName = "cxr-node", "Phantom"
    out.DeviceSerialNumber, out.SoftwareVersions = "1", "1"


def _acquisition(out: Dataset, film: PhantomFilm) -> None:
    truth = film.truth
    lateral = truth.view is View.LATERAL
    out.BodyPartExamined = "CHEST"
    out.ViewPosition = _VIEW_POSITIONS[truth.view]
    out.PatientOrientation = ["P", "F"] if lateral else ["L", "F"]
    out.ImageLaterality = "U"
    out.AnatomicRegionSequence = Sequence([_item(_CHEST)])
    view = _item(_VIEWS[truth.view])
    view.ViewModifierCodeSequence = Sequence([])
    out.ViewCodeSequence = Sequence([view])
    out.ImageType = ["ORIGINAL", "PRIMARY", ""]
    out.AcquisitionContextSequence = Sequence([])
    out.DetectorType, out.PositionerType = "SCINTILLATOR", "NONE"
    spacing = f"{truth.imager_pixel_spacing_mm:.6f}"
    out.ImagerPixelSpacing = [spacing, spacing]
    out.DistanceSourceToDetector = f"{truth.distance_source_to_detector_mm:.1f}"
    out.DistanceSourceToPatient = f"{truth.distance_source_to_detector_mm / truth.magnification:.1f}"
    out.EstimatedRadiographicMagnificationFactor = f"{truth.magnification:.4f}"
    out.KVP = "110"


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _pixels(out: Dataset, stored: UInt16, bits_stored: int, photometric_interpretation: str) -> None:
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, photometric_interpretation
    out.Rows, out.Columns = stored.shape
    out.BitsAllocated, out.BitsStored, out.HighBit, out.PixelRepresentation = 16, bits_stored, bits_stored - 1, 0
    out.PixelData = stored.astype("<u2").tobytes()
    out["PixelData"].VR = "OW"


def _grayscale(out: Dataset, bits_stored: int, photometric_interpretation: str, voi: Voi) -> None:
    """Set the encoding of the detector's signal and its display (PS3.3 section C.8.11.3)."""
    inverted = photometric_interpretation == "MONOCHROME1"
    out.PixelIntensityRelationship, out.PixelIntensityRelationshipSign = "LOG", 1 if inverted else -1
    out.RescaleIntercept, out.RescaleSlope, out.RescaleType = "0", "1", "US"
    out.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    out.LossyImageCompression, out.BurnedInAnnotation = "00", "NO"
    maximum = (1 << bits_stored) - 1
    if voi is Voi.WINDOW:
        low, high = _window_ends(bits_stored)
        if inverted:
            low, high = maximum - high, maximum - low
        out.WindowCenter, out.WindowWidth = f"{(low + high + 1) / 2:g}", f"{high - low + 1}"
        return
    curve = _curve(bits_stored)
    entries = WHITE - curve[::-1] if inverted else curve
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries) % 65536, 0, 16])
    table.LUTExplanation = "CHEST"
    table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    out.VOILUTSequence = Sequence([table])
