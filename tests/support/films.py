"""Films for tests: synthetic ones, and real ones where their folder exists; without it those tests are skipped."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from cxr_node.domain.identifiers import derive_uid

ROOT = Path(__file__).resolve().parent.parent.parent
FILMS = Path(os.environ.get("CXR_NODE_FILMS", ROOT.parent / "shared" / "films"))
"""Folder of real films (NIH and DICOM samples), not part of the project."""

needs_real_films = pytest.mark.skipif(not FILMS.is_dir(), reason=f"no real films at {FILMS} (set CXR_NODE_FILMS)")

PATIENT_NAME = "Filmer^Testa"
PATIENT_ID = "CXR-TEST-0001"
"""Identity in each synthetic film; no log line may contain it."""

BITS_STORED = 12


def real(name: str) -> Path:
    """Return the path of the DICOM sample `name`.dcm; skip the test if it is missing."""
    path = FILMS / "dicom" / f"{name}.dcm"
    if not path.is_file():
        pytest.skip(f"no real film {name} at {FILMS} (set CXR_NODE_FILMS)")
    return path


def dx(
    *,
    rows: int = 64,
    columns: int = 48,
    seed: int = 0,
    for_processing: bool = False,
    changes: Mapping[str, object] | None = None,
) -> Dataset:
    """Return a synthetic frontal chest film (AP) as a digital detector sends it, uncompressed.

    12 bits stored, MONOCHROME2, with a window; the film is 43 cm high at any size. Films of one `seed` and size are
    equal in each bit and UID; each seed has its own study.

    Parameters
    ----------
    changes
        Values by keyword, set last; None removes the element.
    """
    sop_class = DigitalXRayImageStorageForProcessing if for_processing else DigitalXRayImageStorageForPresentation
    film = _film(sop_class, "DX", seed=seed, pixels=_chest(rows, columns, seed))
    spacing_mm = round(430 / rows, 4)
    film.ImageType = ["ORIGINAL", "PRIMARY", ""]
    film.PresentationIntentType = "FOR PROCESSING" if for_processing else "FOR PRESENTATION"
    film.ImagerPixelSpacing = [spacing_mm, spacing_mm]
    film.DetectorType = "DIRECT"
    film.PositionerType = "COLUMN"
    film.PixelIntensityRelationship = "LOG"
    film.PixelIntensityRelationshipSign = -1
    film.ImageLaterality = "U"
    film.AnatomicRegionSequence = Sequence([_coded("43799004", "SCT", "Chest")])
    film.ViewCodeSequence = Sequence([_coded("399348003", "SCT", "antero-posterior projection")])
    film.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    film.BurnedInAnnotation = "NO"
    film.LossyImageCompression = "00"
    film.AcquisitionContextSequence = Sequence([])
    film.PresentationLUTShape = "IDENTITY"
    film.ViewPosition = "AP"
    film.ExposureIndex = "280"
    if for_processing:
        del film.WindowCenter, film.WindowWidth  # PS3.3 section C.8.11.3.1.5: For Presentation only
    return _with(film, changes)


def cr(*, rows: int = 64, columns: int = 48, seed: int = 0, changes: Mapping[str, object] | None = None) -> Dataset:
    """Return a synthetic PA chest film as a phosphor plate reader sends it; otherwise like `dx`."""
    film = _film(ComputedRadiographyImageStorage, "CR", seed=seed, pixels=_chest(rows, columns, seed))
    spacing_mm = round(430 / rows, 4)
    film.ImagerPixelSpacing = [spacing_mm, spacing_mm]
    film.ViewPosition = "PA"
    film.PlateID = "PLATE-1"
    return _with(film, changes)


def sc(*, rows: int = 64, columns: int = 48, seed: int = 0, changes: Mapping[str, object] | None = None) -> Dataset:
    """Return the same chest as a Secondary Capture, as a film scanner sends it."""
    film = _film(SecondaryCaptureImageStorage, "DX", seed=seed, pixels=_chest(rows, columns, seed))
    film.ConversionType = "WSD"
    return _with(film, changes)


def written(film: Dataset, folder: Path) -> Path:
    """Write `film` as a DICOM file to `folder`; return its path. Its name is the SOP Instance UID."""
    path = folder / f"{film.SOPInstanceUID}.dcm"
    film.save_as(path, enforce_file_format=True)
    return path


def with_file_meta(path: Path) -> Dataset:
    """Read a film; add the File Meta Information that a receiver adds, if it is missing."""
    film = dcmread(path, force=True)
    if not film.file_meta.get("TransferSyntaxUID"):
        film.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    return film


def data_set_bytes(path: Path) -> bytes:
    """Return the data set of a DICOM file, without File Meta Information (PS3.10 section 7.1)."""
    content = path.read_bytes()
    return content[data_set_offset(content) :]


def data_set_offset(content: bytes) -> int:
    """Return the offset of the data set in a DICOM file, by File Meta Information Group Length (0002,0000)."""
    assert content[128:140] == b"DICM\x02\x00\x00\x00UL\x04\x00"
    return 144 + int.from_bytes(content[140:144], "little")


def _film(sop_class: UID, modality: str, *, seed: int, pixels: npt.NDArray[np.uint16]) -> Dataset:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SpecificCharacterSet = "ISO_IR 100"
    film.SOPClassUID = sop_class
    film.SOPInstanceUID = derive_uid("test film", modality, sop_class, str(pixels.shape), str(seed), "instance")
    film.StudyInstanceUID = derive_uid("test film", str(seed), "study")
    film.SeriesInstanceUID = derive_uid("test film", modality, sop_class, str(seed), "series")
    film.file_meta.MediaStorageSOPClassUID = sop_class
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.Modality = modality
    for keyword, value in _PLAIN.items():
        setattr(film, keyword, value)
    film.Rows, film.Columns = pixels.shape
    film.PixelData = pixels.tobytes()
    film["PixelData"].VR = "OW"
    return film


_PLAIN: Mapping[str, object] = {
    "PatientName": PATIENT_NAME,
    "PatientID": PATIENT_ID,
    "PatientBirthDate": "19610412",
    "PatientSex": "F",
    "PatientAge": "063Y",
    "StudyDate": "20240501",
    "SeriesDate": "20240501",
    "ContentDate": "20240501",
    "AcquisitionDate": "20240501",
    "StudyTime": "101500",
    "SeriesTime": "101510",
    "ContentTime": "101512",
    "AcquisitionTime": "101511",
    "AccessionNumber": "ACC-1",
    "StudyID": "1",
    "SeriesNumber": "1",
    "InstanceNumber": "1",
    "ReferringPhysicianName": "",
    "Manufacturer": "Test Films",
    "ManufacturerModelName": "Made",
    "DeviceSerialNumber": "1",
    "SoftwareVersions": "1",
    "InstitutionName": "Test Hospital",
    "BodyPartExamined": "CHEST",
    "PatientOrientation": ["L", "F"],
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": BITS_STORED,
    "HighBit": BITS_STORED - 1,
    "PixelRepresentation": 0,
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "WindowCenter": "2048",
    "WindowWidth": "4096",
}


def _chest(rows: int, columns: int, seed: int) -> npt.NDArray[np.uint16]:
    """Return stored values, shape (rows, columns): bright trunk, two dark lungs, heart and noise."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]

    def oval(center_x: float, center_y: float, half_width: float, half_height: float) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = ((x - center_x) / half_width) ** 2 + ((y - center_y) / half_height) ** 2 < 1
        return inside

    values = np.where(oval(0, 0.2, 0.95, 1.15), 2600.0, 150.0)
    values[oval(-0.42, 0, 0.32, 0.68) | oval(0.42, 0, 0.30, 0.66)] = 900
    values[oval(0.12, 0.35, 0.33, 0.36)] = 2900
    values[np.abs(x) < 0.08] += 500
    values += np.random.default_rng(seed).normal(0, 40, values.shape)
    return np.clip(values, 0, 2**BITS_STORED - 1).astype(np.uint16)


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _with(film: Dataset, changes: Mapping[str, object] | None) -> Dataset:
    for keyword, value in (changes or {}).items():
        if value is None:
            delattr(film, keyword)
        else:
            setattr(film, keyword, value)
    return film
