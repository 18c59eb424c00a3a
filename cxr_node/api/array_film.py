"""An array as a DICOM file, so that it is read as any film is: Digital X-Ray Image Storage - For Presentation."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import derive_uid, digest_of
from cxr_node.domain.radiograph import WHITE, UInt16

_VIEW_POSITIONS: Mapping[View, str] = {View.PA: "PA", View.AP: "AP", View.LATERAL: "LL", View.UNKNOWN: ""}
_BITS = 16


def film_of_array(
    array: npt.NDArray[Any], *, view: View, pixel_spacing_mm: float | None = None, age_years: int | None = None
) -> bytes:
    """Return a DICOM file with the pixels of an array; equal arguments give equal bytes.

    Parameters
    ----------
    array
        Shape (rows, columns), bright is dense: uint8, uint16, or floats from 0.0 (black) to 1.0 (white). A frontal film
        hangs, with the patient's right side on the left.
    pixel_spacing_mm
        Distance of pixels at the detector.

    Raises
    ------
    ValueError
        If it is no such array.
    """
    p_values = _p_values(array)
    uid = derive_uid("array", view, digest_of(p_values.tobytes()), str(pixel_spacing_mm), str(age_years))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID, out.SOPInstanceUID = DigitalXRayImageStorageForPresentation, UID(uid)
    out.StudyInstanceUID, out.SeriesInstanceUID = UID(derive_uid(uid, "study")), UID(derive_uid(uid, "series"))
    out.PatientID, out.Modality, out.PresentationIntentType = uid, "DX", "FOR PRESENTATION"
    out.BodyPartExamined, out.ViewPosition = "CHEST", _VIEW_POSITIONS[view]
    out.PatientOrientation = ["P", "F"] if view is View.LATERAL else ["L", "F"]
    if age_years is not None:
        out.PatientAge = f"{age_years:03d}Y"
    if pixel_spacing_mm is not None:
        out.ImagerPixelSpacing = [f"{pixel_spacing_mm:.6f}"] * 2
    out.PixelIntensityRelationship, out.PixelIntensityRelationshipSign = "LOG", -1
    out.RescaleIntercept, out.RescaleSlope, out.RescaleType = "0", "1", "US"
    out.SamplesPerPixel, out.PhotometricInterpretation, out.PresentationLUTShape = 1, "MONOCHROME2", "IDENTITY"
    out.WindowCenter, out.WindowWidth = str((WHITE + 1) // 2), str(WHITE + 1)  # stored values are P-values
    out.Rows, out.Columns = p_values.shape
    out.BitsAllocated, out.BitsStored, out.HighBit, out.PixelRepresentation = _BITS, _BITS, _BITS - 1, 0
    out.PixelData = p_values.astype("<u2").tobytes()
    out["PixelData"].VR = "OW"
    file = io.BytesIO()
    out.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _p_values(array: npt.NDArray[Any]) -> UInt16:
    if array.ndim != 2:
        raise ValueError(f"a film has rows and columns, and no shape {array.shape}")
    if array.dtype == np.uint16:
        return array.astype(np.uint16, copy=False)
    if array.dtype == np.uint8:
        return array.astype(np.uint16) * np.uint16(257)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"the pixels of a film are uint8, uint16 or floats, and not {array.dtype}")
    if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError("floats of a film are between 0.0 (black) and 1.0 (white)")
    p_values: UInt16 = np.rint(array * WHITE).astype(np.uint16)
    return p_values
