"""Last check of the gate: the model's view and distance against the header."""

from dataclasses import replace

from cxr_node.domain.film_geometry import Geometry, View, ViewSource
from cxr_node.domain.reading import Appearance
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import Verdict

CERTAIN = 0.9
"""Least score at which the model's view counts, whether the header states another or none."""


def judge_appearance(
    appearance: Appearance, stated: Geometry, rules: Rules, *, states_frontal_chest: bool, upright_after: int = 0
) -> Verdict:
    """Return the verdict by the model's appearance of the film as it hangs.

    A stated view is at most noted as doubtful: the radiographer knew it, and the model reads PA and AP alike. A stated
    frontal chest is refused as no chest film only where the model is certain of that. `upright_after` clockwise quarter
    turns the model takes the film for a chest film; 0: after none.
    """
    if appearance.view is None and upright_after:
        return Verdict(refused=Reason.TURNED, detail=_turned(stated, upright_after))
    is_doubted = appearance.view is None and states_frontal_chest and appearance.score < rules.no_chest_score
    if appearance.view is None and not is_doubted:
        return Verdict(
            refused=Reason.BODY_PART, detail=f"the model takes it for no chest film (score {appearance.score:.2f})"
        )
    if appearance.distance > appearance.limit:
        detail = f"distance {appearance.distance:.3g} from the films that the model knows, limit {appearance.limit:.3g}"
        return Verdict(refused=Reason.UNUSUAL, detail=detail)
    if is_doubted:
        return Verdict(notes=(Note.CHEST_DOUBTED,))
    if appearance.score < CERTAIN or appearance.view is stated.view:
        return Verdict()
    if stated.view is not View.UNKNOWN:
        return Verdict(notes=(Note.VIEW_DOUBTED,))
    if appearance.view is View.LATERAL:
        return Verdict(
            refused=Reason.VIEW, detail=f"stated nowhere; the model sees a lateral (score {appearance.score:.2f})"
        )
    return Verdict()


def is_certain_chest(appearance: Appearance) -> bool:
    """Whether the model is certain that the film is an upright chest film, frontal or lateral, like those it knows."""
    return appearance.view is not None and appearance.score >= CERTAIN and appearance.distance <= appearance.limit


def _turned(stated: Geometry, upright_after: int) -> str:
    """Return what is so, and what to do."""
    states = "says otherwise" if stated.patient_orientation is not None else "does not say so"
    return (
        f"the model sees a chest that stands upright after a turn by {90 * upright_after} degrees clockwise; "
        f"Patient Orientation (0020,0020) {states}: turn the film, or correct the element, and send it again"
    )


def with_view(stated: Geometry, appearance: Appearance, rules: Rules) -> Geometry:
    """Return the geometry with the model's view, if none is stated, its score suffices and the rules allow it."""
    if (
        appearance.view is None
        or appearance.score < CERTAIN
        or stated.view is not View.UNKNOWN
        or not rules.view_from_model
    ):
        return stated
    return replace(stated, view=appearance.view, view_source=ViewSource.NETWORK)
