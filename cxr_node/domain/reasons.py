"""Coded reasons why a film is not analysed, and notes on analysed films. Values are permanent."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason why a film has no findings. The value, of at most 16 characters, is the code in rows and reports."""

    BODY_PART = "BODYPART"
    NOT_HUMAN = "NOTHUMAN"
    VIEW = "VIEW"
    AGE = "AGE"
    FOR_PROCESSING = "FORPROCESSING"
    MULTI_FRAME = "MULTIFRAME"
    NO_PIXELS = "NOPIXELS"
    TOO_LARGE = "TOOLARGE"
    DECODE = "DECODE"
    COLOR = "COLOR"
    QUALITY = "QUALITY"
    UNUSUAL = "UNUSUAL"
    DUPLICATE = "DUPLICATE"
    IDENTITY = "IDENTITY"
    MODEL_ERROR = "MODELERROR"
    TIMEOUT = "TIMEOUT"
    RESULT = "RESULT"

    @property
    def meaning(self) -> str:
        """The code meaning, in English, as a report shows it."""
        return _MEANINGS[self]


_MEANINGS = {
    Reason.BODY_PART: "Not a chest radiograph",
    Reason.NOT_HUMAN: "Not a human patient",
    Reason.VIEW: "Not a frontal view, or view unknown",
    Reason.AGE: "Patient younger than the configured age",
    Reason.FOR_PROCESSING: "Image is For Processing, not For Presentation",
    Reason.MULTI_FRAME: "Image has more than one frame",
    Reason.NO_PIXELS: "Object holds no pixel data",
    Reason.TOO_LARGE: "Image larger than the configured size",
    Reason.DECODE: "Pixel data cannot be decoded",
    Reason.COLOR: "Image is not grayscale",
    Reason.QUALITY: "Image quality insufficient",
    Reason.UNUSUAL: "Image unlike those the model was made for",
    Reason.DUPLICATE: "Same SOP Instance UID with other content",
    Reason.IDENTITY: "Images of the study disagree about the patient",
    Reason.MODEL_ERROR: "Model failed on this image",
    Reason.TIMEOUT: "Analysis took too long",
    Reason.RESULT: "Result failed the check before sending",
}


class Note(StrEnum):
    """Remark on a film that is analysed. The value is the code, at most 16 characters."""

    POLARITY_CORRECTED = "POLARITY"
    POLARITY_CONTRADICTORY = "PLUTSHAPE"
    BURNED_IN_TEXT = "BURNEDIN"
    NO_VOI = "NOVOI"
    VIEW_GUESSED = "VIEWGUESS"
    VIEW_DOUBTED = "VIEWDOUBT"
    ROTATED = "ROTATED"
    SHUTTER = "SHUTTER"

    @property
    def meaning(self) -> str:
        """The code meaning, in English, as a report shows it."""
        return _NOTE_MEANINGS[self]


_NOTE_MEANINGS = {
    Note.POLARITY_CORRECTED: "Photometric Interpretation contradicts the picture; corrected",
    Note.POLARITY_CONTRADICTORY: "Presentation LUT Shape contradictory; not followed",
    Note.BURNED_IN_TEXT: "Text is burned into the image",
    Note.NO_VOI: "No usable window or VOI LUT; gray scale from the pixel values",
    Note.VIEW_GUESSED: "View Position absent; view taken from descriptive text",
    Note.VIEW_DOUBTED: "Stated view doubted: the picture looks like another",
    Note.ROTATED: "Image turned to standard orientation before analysis",
    Note.SHUTTER: "Area outside the display shutter ignored",
}


def reason_meaning(code: str | None) -> str:
    """Return the meaning of a stored reason code; the code itself if this version does not know it."""
    return Reason(code).meaning if code in set(Reason) else code or ""


def note_meaning(code: str) -> str:
    """Return the meaning of a stored note code; the code itself if this version does not know it."""
    return Note(code).meaning if code in set(Note) else code
