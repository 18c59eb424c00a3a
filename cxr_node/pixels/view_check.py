"""What a model says of the picture itself, against what the header says: the last question of the gate."""

from dataclasses import replace

from cxr_node.domain.radiograph import Geometry, View, ViewSource
from cxr_node.domain.reading import Appearance
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.suitability import Rules, Verdict

CERTAIN = 0.9
"""The share of belief from which a model's view counts, against a header's silence or its word."""


def judge_appearance(seen: Appearance, stated: Geometry) -> Verdict:
    """Return whether the picture is one that the model can read.

    A stated view is doubted at most: whoever took the film knew it, and the model reads PA and AP alike.
    """
    if seen.view is None:
        return Verdict(
            refused=Reason.BODY_PART, detail=f"the model takes it for no chest film (score {seen.score:.2f})"
        )
    if seen.distance > seen.limit:
        detail = f"distance {seen.distance:.3g} from the films that the model knows, limit {seen.limit:.3g}"
        return Verdict(refused=Reason.UNUSUAL, detail=detail)
    if seen.score < CERTAIN or seen.view is stated.view:
        return Verdict()
    if stated.view is not View.UNKNOWN:
        return Verdict(notes=(Note.VIEW_DOUBTED,))
    if seen.view is View.LATERAL:
        return Verdict(refused=Reason.VIEW, detail=f"stated nowhere; the model sees a lateral (score {seen.score:.2f})")
    return Verdict()


def with_view(stated: Geometry, seen: Appearance, rules: Rules) -> Geometry:
    """Return the geometry with the model's view, where none is stated, the model is certain and the rules allow it."""
    if seen.view is None or seen.score < CERTAIN or stated.view is not View.UNKNOWN or not rules.view_from_model:
        return stated
    return replace(stated, view=seen.view, view_source=ViewSource.NETWORK)
