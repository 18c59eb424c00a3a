"""Coded reasons why a film is not analysed, and notes on analysed films. Values are permanent."""

from enum import StrEnum
from typing import Self


class _CodedEnum(StrEnum):
    """Codes, each with its `meaning` in English, as a report shows it."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member


class Reason(_CodedEnum):
    """Reason why a film has no findings. The value, of at most 16 characters, is the code in rows and reports."""

    BODY_PART = "BODYPART", "Not a chest radiograph"
    NOT_HUMAN = "NOTHUMAN", "Not a human patient"
    VIEW = "VIEW", "Not a frontal view, or view unknown"
    TURNED = "TURNED", "Image is turned, and its header does not say how"
    SPECIAL_VIEW = "SPECIALVIEW", "Decubitus or lordotic view"
    QUALITY_CONTROL = "QCIMAGE", "Quality control image, not of a patient"
    CAPTURE = "CAPTURE", "Picture made by another product"
    TOMOSYNTHESIS = "TOMOSYNTHESIS", "Tomosynthesis slice, not a projection"
    BONE_SUPPRESSED = "BONESUPPRESSED", "Copy of an image with bones suppressed"
    DUAL_ENERGY = "DUALENERGY", "Dual energy image, of bone or soft tissue only"
    STITCHED = "STITCHED", "Image stitched from several exposures"
    AGE = "AGE", "Patient younger than the configured age, or age unreadable"
    FOR_PROCESSING = "FORPROCESSING", "Image is For Processing, not For Presentation"
    MULTI_FRAME = "MULTIFRAME", "Image has more than one frame"
    NO_PIXELS = "NOPIXELS", "Object holds no pixel data"
    TOO_LARGE = "TOOLARGE", "Image larger than the configured size"
    DECODE = "DECODE", "Pixel data cannot be decoded"
    COLOR = "COLOR", "Image is not grayscale"
    QUALITY = "QUALITY", "Image quality insufficient"
    UNUSUAL = "UNUSUAL", "Image unlike those the model was made for"
    NO_MODEL = "NOMODEL", "No model is configured for this image"
    DUPLICATE = "DUPLICATE", "Same SOP Instance UID with other content"
    CORRECTION = "CORRECTION", "Same image with another patient, study or order"
    IDENTITY = "IDENTITY", "Images of the study disagree about the patient"
    DAMAGED = "DAMAGED", "Stored file is damaged or missing"
    MODEL_ERROR = "MODELERROR", "Model failed on this image"
    TIMEOUT = "TIMEOUT", "Analysis took too long"
    DISMISSED = "DISMISSED", "Set aside by a person"
    RESULT = "RESULT", "Result failed the check before sending"


class Note(_CodedEnum):
    """Remark on a film that is analysed. The value is the code, at most 16 characters."""

    POLARITY_CORRECTED = "POLARITY", "Photometric Interpretation contradicts the picture; corrected"
    POLARITY_CONTRADICTORY = "PLUTSHAPE", "Presentation LUT Shape contradictory; not followed"
    BURNED_IN_TEXT = "BURNEDIN", "Text is burned into the image"
    NO_VOI = "NOVOI", "No usable window or VOI LUT; gray scale from the pixel values"
    VIEW_GUESSED = "VIEWGUESS", "View Position absent; view taken from descriptive text"
    VIEW_DOUBTED = "VIEWDOUBT", "Stated view doubted: the picture looks like another"
    CHEST_DOUBTED = "CHESTDOUBT", "Stated chest doubted: the picture may be another"
    VIEW_CONFLICT = "VIEWCONFLICT", "View Position and View Code contradict each other"
    LORDOTIC = "LORDOTIC", "Lordotic view"
    SPECIAL_IMAGE = "SPECIALIMAGE", "Special kind of image, accepted by the settings"
    ROTATED = "ROTATED", "Image turned to standard orientation before analysis"
    SHUTTER = "SHUTTER", "Area outside the display shutter ignored"
    MODEL_FAILED = "MODELFAILED", "One of several models failed; its findings are missing"


def reason_meaning(code: str | None) -> str:
    """Return the meaning of a stored reason code; the code itself if this version does not know it."""
    return Reason(code).meaning if code in set(Reason) else code or ""


def note_meaning(code: str) -> str:
    """Return the meaning of a stored note code; the code itself if this version does not know it."""
    return Note(code).meaning if code in set(Note) else code
