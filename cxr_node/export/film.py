"""De-identified film: header by the table of actions, pixels written anew; or the reason why it is left out."""

from dataclasses import dataclass, replace
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr_node.composing.context import ComposeContext
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Reading
from cxr_node.domain.sop_classes import STORAGE_KEYWORDS, STORAGE_SOP_CLASSES
from cxr_node.export.header import Policy, deidentified_header
from cxr_node.export.marks import add_marks
from cxr_node.export.sample_values import add_pixels, full_range, samples_alone
from cxr_node.pixels import elements
from cxr_node.pixels.decoding import decode_first_frame
from cxr_node.pixels.description import MONOCHROME, describe
from cxr_node.pixels.film import apply_grayscale
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.image_statistics import has_text
from cxr_node.receive.identify import patient_key
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.source import ReportedFilm

_MULTI_FRAME = frozenset(
    STORAGE_KEYWORDS[f"MultiFrameGrayscale{size}SecondaryCaptureImageStorage"] for size in ("Byte", "Word")
)
"""SOP Classes with Number of Frames (0028,0008), of which a chest film has one."""


class LeftOut(StrEnum):
    """Reason why a film or result is not exported, in words."""

    NOT_READ = "not read yet, or its reading failed"
    DISMISSED = "set aside by a person"
    REJECTED = "withdrawn by a rejection note"
    COPY = "a copy of a film that came before, or replaced by a correction"
    PHANTOM = "a phantom of a constancy check"
    REMOVED = "removed from the archive"
    DAMAGED = "damaged in the archive"
    BURNED_IN = "text is burned into the picture"
    FRAMES = "more than one frame"
    COLOR = "a color picture"
    NOT_DECODED = "its header or its pixels cannot be decoded"
    IDENTITY = "of a study whose films name different patients"
    NO_SOP_CLASS = "of a SOP Class that is none of chest films"
    PROCESS_DIED = "its study ended the process that exports, or took too long"
    FAULT = "an error of the node, which its log names"
    CHECK = "a result that failed the check before it leaves"


class NotExported(Exception):
    """A film is left out for `reason`."""

    def __init__(self, reason: LeftOut) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeidentifiedFilm:
    """A de-identified film: its file, the film as results name it, and its picture in P-values."""

    instance: Instance
    reported: ReportedFilm
    radiograph: Radiograph


def deidentified_film(
    context: ComposeContext, dataset: Dataset, reading: Reading, policy: Policy, *, patient: str
) -> DeidentifiedFilm:
    """Return a film without identifiers, and its reading under the new UIDs.

    Parameters
    ----------
    patient
        Text that identifies the patient.

    Raises
    ------
    NotExported
        If it is left out.
    """
    if elements.text(dataset, "BurnedInAnnotation").upper() == "YES":
        raise NotExported(LeftOut.BURNED_IN)
    header = deidentified_header(dataset, policy, patient=patient)
    if header.get("SOPClassUID") not in STORAGE_SOP_CLASSES:
        raise NotExported(LeftOut.NO_SOP_CLASS)
    identity = _add_identity(header, reading.film, policy)
    try:
        description = describe(dataset, limits=context.limits)
        if description.photometric_interpretation not in MONOCHROME:
            raise NotExported(LeftOut.COLOR)
        if description.number_of_frames > 1:
            raise NotExported(LeftOut.FRAMES)
        decoded = decode_first_frame(dataset, description, limits=context.limits, sandbox=context.sandbox)
        frame = samples_alone(decoded)
        add_pixels(header, frame)
        if header.SOPClassUID in _MULTI_FRAME:
            header.NumberOfFrames = 1
        radiograph = replace(apply_grayscale(header, frame), geometry=geometry(dataset))
    except GiveUp as error:
        raise NotExported(LeftOut.NOT_DECODED) from error
    if has_text(radiograph.p_values) or has_text(full_range(frame)):
        raise NotExported(LeftOut.BURNED_IN)
    add_marks(header, policy.options)
    named = replace(_without_details(reading), film=identity, grayscale=radiograph.grayscale)
    instance = instance_of(encoded(header), identity, ExplicitVRLittleEndian)
    del header.PixelData
    return DeidentifiedFilm(
        instance=instance, reported=ReportedFilm(header=header, reading=named), radiograph=radiograph
    )


def _without_details(reading: Reading) -> Reading:
    """Return a reading without the sentences that may quote a film: reasons remain as codes."""
    prediction = reading.prediction
    if prediction is not None:
        steps = tuple(replace(step, detail="") for step in prediction.steps)
        prediction = replace(prediction, steps=steps)
    return replace(reading, prediction=prediction, detail="")


def _add_identity(header: Dataset, film: Identity, policy: Policy) -> Identity:
    """Write the new UIDs into a header, those of the film's row replaced, and return its identity."""
    new_uid = policy.pseudonyms.uid
    header.SOPInstanceUID = new_uid(film.sop_instance_uid)
    header.SeriesInstanceUID = new_uid(film.series_instance_uid)
    header.StudyInstanceUID = new_uid(film.study_instance_uid)
    pseudonym = str(header.PatientID).encode("ascii")
    return Identity(
        sop_class_uid=Uid(str(header.SOPClassUID)),
        sop_instance_uid=Uid(header.SOPInstanceUID),
        series_instance_uid=Uid(header.SeriesInstanceUID),
        study_instance_uid=Uid(header.StudyInstanceUID),
        patient_key=patient_key(b"", pseudonym, pseudonym, b""),
    )
