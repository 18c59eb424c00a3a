"""Rules of the gate, with their defaults. Without pydicom, as every process loads the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxr_node.domain.image_kind import DEFAULT_ACTIONS, Action, ImageKind
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules of the gate. The defaults pass adult frontal chest films; an unstated value passes.

    Attributes
    ----------
    sop_class_uids, modalities
        Allowed values; an absent Modality passes.
    body_parts
        Words of Body Part Examined and of descriptions that mean a chest; empty: `body_part.CHEST_WORDS`.
    accept_unknown_body_part, accept_unknown_view, accept_unknown_age
        Whether a film passes that states it neither by tag, code nor words. The model's view may still refuse it
        (`view_check.judge_appearance`).
    view_from_model
        Whether the model's view is used if the header states none and the score is high enough.
    no_chest_score
        Score from which the model's "no chest film" refuses a film whose header states chest and a frontal view. Any
        other film is refused where that is the model's first choice.
    minimum_age_years
        Younger patients are refused; 0 disables the check.
    accept_for_processing, accept_multi_frame
        Whether For Processing films, and the first of several frames, are read.
    kinds
        What becomes of images that are no plain film, by their kind (`image_kind.RULES`).
    minimum_side_pixels, maximum_elongation
        Least length of the shorter side, and largest ratio of the longer side to it.
    """

    sop_class_uids: tuple[str, ...] = STORAGE_SOP_CLASSES
    modalities: tuple[str, ...] = ("CR", "DX", "RG", "DR", "XR", "OT", "SC")
    body_parts: tuple[str, ...] = ()
    accept_unknown_body_part: bool = True
    accept_unknown_view: bool = True
    accept_unknown_age: bool = True
    view_from_model: bool = True
    no_chest_score: float = 0.9
    minimum_age_years: float = 18.0
    accept_for_processing: bool = False
    accept_multi_frame: bool = False
    kinds: Mapping[ImageKind, Action] = field(default_factory=lambda: dict(DEFAULT_ACTIONS))
    minimum_side_pixels: int = 224
    maximum_elongation: float = 2.5
