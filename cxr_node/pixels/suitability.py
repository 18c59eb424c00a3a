"""The gate: decides by header and picture whether the node reads a film, and states the reason if not.

No detail quotes a value typed by a person: such text can name the patient.
"""

from dataclasses import dataclass, field

from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import View, ViewSource
from cxr_node.domain.image_kind import Action
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels import elements, image_statistics
from cxr_node.pixels.age import find_age
from cxr_node.pixels.body_part import CHEST_WORDS, BodyPart, find_body_part
from cxr_node.pixels.description import missing_pixels
from cxr_node.pixels.geometry import patient_orientation
from cxr_node.pixels.image_kind import kinds_of
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.veterinary import is_animal
from cxr_node.pixels.view import find_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Result of the gate: `refused` is None if the film passes, or the reason, with a sentence of `detail`."""

    refused: Reason | None = None
    detail: str = ""
    notes: tuple[Note, ...] = field(default=())


def judge_header(dataset: Dataset, rules: Rules) -> Verdict:
    """Return the verdict by the header alone: the first reason that applies, in the order of `_CHECKS`."""
    for check in _CHECKS:
        refused = check(dataset, rules)
        if refused is not None:
            return Verdict(refused=refused[0], detail=refused[1])
    notes = []
    if find_view(dataset)[1] is ViewSource.TEXT:
        notes.append(Note.VIEW_GUESSED)
    notes += [rule.note for rule, _ in kinds_of(dataset)]
    if elements.text(dataset, "BurnedInAnnotation").upper() == "YES":
        notes.append(Note.BURNED_IN_TEXT)
    return Verdict(notes=tuple(dict.fromkeys(notes)))


def states_frontal_chest(dataset: Dataset, rules: Rules) -> bool:
    """Whether the header states a chest, by tag, code or words, and a frontal view."""
    part = find_body_part(dataset, chest_words=rules.body_parts or CHEST_WORDS).part
    return part is BodyPart.CHEST and find_view(dataset)[0].is_frontal


_Refusal = tuple[Reason, str] | None


def _kind(dataset: Dataset, rules: Rules) -> _Refusal:
    if elements.text(dataset, "SOPClassUID") not in rules.sop_class_uids:
        return Reason.BODY_PART, "SOP Class UID (0008,0016) is not of a projection radiograph"
    modality = elements.text(dataset, "Modality").upper()
    if modality and modality not in rules.modalities:
        return Reason.BODY_PART, "Modality (0008,0060) is not of a projection radiograph"
    return None


def _pixels(dataset: Dataset, _rules: Rules) -> _Refusal:
    without_rows = (
        None if elements.integer(dataset, "Rows") else (Reason.NO_PIXELS, "Rows (0028,0010) is absent or zero")
    )
    return missing_pixels(dataset) or without_rows


def _species(dataset: Dataset, _rules: Rules) -> _Refusal:
    where = is_animal(dataset)
    return (Reason.NOT_HUMAN, f"{where} names an animal") if where else None


def _image_kind(dataset: Dataset, rules: Rules) -> _Refusal:
    for rule, where in kinds_of(dataset):
        if rules.kinds[rule.kind] is Action.REFUSE:
            return rule.reason, f"{where} says so; `gate.{rule.kind}` decides whether such images are read"
    return None


def _body_part(dataset: Dataset, rules: Rules) -> _Refusal:
    stated = find_body_part(dataset, chest_words=rules.body_parts or CHEST_WORDS)
    if stated.part is BodyPart.CHEST or (stated.part is BodyPart.UNSTATED and rules.accept_unknown_body_part):
        return None
    return Reason.BODY_PART, f"{stated.where} names another" if stated.where else "the body part is stated nowhere"


def _view(dataset: Dataset, rules: Rules) -> _Refusal:
    view, source = find_view(dataset)
    if source is ViewSource.NONE:
        orientation = patient_orientation(dataset)
        if orientation is not None and any(direction[0] in "AP" for direction in orientation):
            return Reason.VIEW, "Patient Orientation (0020,0020) is of a lateral view"
        return None if rules.accept_unknown_view else (Reason.VIEW, "the view is stated nowhere")
    if view.is_frontal:
        return None
    kind = "lateral" if view is View.LATERAL else "none of PA, AP and lateral"
    return Reason.VIEW, f"{source} says {kind}"


def _age(dataset: Dataset, rules: Rules) -> _Refusal:
    age = find_age(dataset)
    if age.is_unreadable and rules.minimum_age_years > 0:
        return Reason.AGE, "Patient's Age (0010,1010) or Patient's Birth Date (0010,0030) cannot be read"
    if age.years is None:
        refused = not rules.accept_unknown_age and rules.minimum_age_years > 0
        return (Reason.AGE, "the patient's age is stated nowhere") if refused else None
    return (
        (Reason.AGE, f"younger than {rules.minimum_age_years:g} years") if age.years < rules.minimum_age_years else None
    )


def _for_processing(dataset: Dataset, rules: Rules) -> _Refusal:
    raw = elements.text(dataset, "SOPClassUID") == uid.DigitalXRayImageStorageForProcessing
    raw = raw or elements.text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"
    if raw and not rules.accept_for_processing:
        return Reason.FOR_PROCESSING, "the detector's raw picture is not meant to be looked at"
    return None


def _frames(dataset: Dataset, rules: Rules) -> _Refusal:
    frames = elements.integer(dataset, "NumberOfFrames") or 1
    return (Reason.MULTI_FRAME, f"{frames} frames") if frames > 1 and not rules.accept_multi_frame else None


_CHECKS = (_kind, _species, _image_kind, _body_part, _view, _age, _for_processing, _frames, _pixels)


def judge_picture(film: Radiograph, rules: Rules) -> Verdict:
    """Return the verdict by the picture: large enough, exposed, not saturated, not a small part.

    Burned-in text is noted, whatever Burned In Annotation (0028,0301) says; nothing is masked.
    """
    refused = _size(film, rules) or _exposure(image_statistics.brightness(film.p_values)) or _crop(film, rules)
    if refused is not None:
        return Verdict(refused=refused[0], detail=refused[1])
    return Verdict(notes=(Note.BURNED_IN_TEXT,) if image_statistics.has_text(film.p_values) else ())


_MIN_SPREAD = 0.08
_MAX_AT_ONE_END = 0.75
_MIN_EXPOSED = 0.25


def _size(film: Radiograph, rules: Rules) -> _Refusal:
    rows, columns = film.p_values.shape
    if min(rows, columns) >= rules.minimum_side_pixels:
        return None
    return Reason.QUALITY, f"{rows} rows of {columns} columns are too few to read"


def _crop(film: Radiograph, rules: Rules) -> _Refusal:
    rows, columns = film.p_values.shape
    height, width = image_statistics.exposed_part(film.p_values)
    if height * width < _MIN_EXPOSED:
        return Reason.QUALITY, f"only {height * width:.0%} of the picture shows anything"
    short, long = sorted((height * rows * film.geometry.aspect_ratio, width * columns))
    if long > rules.maximum_elongation * short:
        return Reason.QUALITY, f"a strip {long / short:.1f} times as long as wide, not a whole chest"
    return None


def _exposure(brightness: image_statistics.Brightness) -> _Refusal:
    if brightness.spread < _MIN_SPREAD:
        return Reason.QUALITY, f"nearly blank: 90 % of it lies within {brightness.spread:.3f} of the gray scale"
    for name, share in (("black", brightness.black), ("white", brightness.white)):
        if share > _MAX_AT_ONE_END:
            return Reason.QUALITY, f"{share:.0%} of the picture is {name}"
    return None
