"""Films of the demo as DICOM, from the PNG files of NIH ChestX-ray14.

    python -m benchmarks.demo_films FOLDER

FOLDER holds the collection's files reduced to 512 x 512 pixels of 8 bits. Files are written to
`cxr_node/simulators/films`, DX For Presentation in lossless JPEG 2000. UIDs follow from the content.
"""

import argparse
from pathlib import Path

import numpy as np
from openjpeg.utils import encode_array
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, JPEG2000Lossless

from cxr_node.domain.identifiers import derive_uid, digest_of
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.simulators.demo_films import FOLDER, DemoFilm, demo_films

SIZE = 512
STUDY_YEAR = 2024


def data_set(film: DemoFilm, pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]], number: int) -> FileDataset:
    """Return film `number` of the demo; `pixels` are P-values of 8 bits, shape (512, 512)."""
    uid = derive_uid("demo film", film.source, digest_of(pixels.tobytes()))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    meta.TransferSyntaxUID = JPEG2000Lossless
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    out = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    out.SpecificCharacterSet = "ISO_IR 100"
    out.SOPClassUID, out.SOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    out.StudyInstanceUID = UID(derive_uid("demo film", film.source, "study"))
    out.SeriesInstanceUID = UID(derive_uid("demo film", film.source, "series"))
    _patient_and_study(out, film, number)
    _acquisition(out, film)
    _pixels(out, pixels)
    return out


def _patient_and_study(out: Dataset, film: DemoFilm, number: int) -> None:
    out.PatientName, out.PatientID = f"DEMO^{film.name.upper()}", f"DEMO-{number}"
    out.PatientBirthDate, out.PatientSex = f"{STUDY_YEAR - film.age - 1}0701", film.sex
    out.PatientAge = f"{film.age:03d}Y"
    out.StudyDate = out.SeriesDate = out.AcquisitionDate = out.ContentDate = f"{STUDY_YEAR}0501"
    out.StudyTime = out.SeriesTime = out.AcquisitionTime = out.ContentTime = f"{9 + number:02d}1500"
    out.AccessionNumber, out.StudyID, out.ReferringPhysicianName = f"DEMO{number:04d}", str(number), ""
    out.StudyDescription, out.SeriesNumber, out.InstanceNumber = "Chest", 1, 1
    out.Modality, out.PresentationIntentType = "DX", "FOR PRESENTATION"
    out.Manufacturer, out.ManufacturerModelName = "cxr-node", "Demo"
    out.DeviceSerialNumber, out.SoftwareVersions = "1", "1"


def _acquisition(out: Dataset, film: DemoFilm) -> None:
    out.BodyPartExamined, out.ViewPosition = "CHEST", "PA"
    out.PatientOrientation, out.ImageLaterality = ["L", "F"], "U"
    out.AnatomicRegionSequence = Sequence([_code("43799004", "Chest")])
    view = _code("272479007", "postero-anterior")
    view.ViewModifierCodeSequence = Sequence([])
    out.ViewCodeSequence = Sequence([view])
    out.ImageType = ["DERIVED", "PRIMARY", ""]
    out.DerivationDescription = f"Reduced to {SIZE} x {SIZE} pixels of 8 bits"
    out.ImageComments = f"NIH ChestX-ray14, {film.source}; image provided by the NIH Clinical Center"
    out.AcquisitionContextSequence = Sequence([])
    out.DetectorType, out.PositionerType = "SCINTILLATOR", "NONE"
    out.ImagerPixelSpacing = [f"{film.imager_pixel_spacing_mm:.4f}"] * 2


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _pixels(out: Dataset, pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.Rows, out.Columns = pixels.shape
    out.BitsAllocated, out.BitsStored, out.HighBit, out.PixelRepresentation = 8, 8, 7, 0
    out.PixelData = encapsulate([encode_array(pixels, bits_stored=8)])
    out["PixelData"].VR = "OB"
    out.PixelIntensityRelationship, out.PixelIntensityRelationshipSign = "LOG", -1
    out.RescaleIntercept, out.RescaleSlope, out.RescaleType = "0", "1", "US"
    out.PresentationLUTShape, out.LossyImageCompression, out.BurnedInAnnotation = "IDENTITY", "00", "NO"
    out.WindowCenter, out.WindowWidth = "128", "256"


def main() -> None:
    """Write every film of the demo."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    for number, film in enumerate(demo_films(), start=1):
        with Image.open(folder / film.source) as image:
            pixels = np.asarray(image.convert("L"))
        if pixels.shape != (SIZE, SIZE):
            raise SystemExit(f"{film.source} has {pixels.shape} pixels, not {SIZE} x {SIZE}")
        data_set(film, pixels, number).save_as(FOLDER / f"{film.name}.dcm", enforce_file_format=True)
        print(film.name, (FOLDER / f"{film.name}.dcm").stat().st_size)


if __name__ == "__main__":
    main()
