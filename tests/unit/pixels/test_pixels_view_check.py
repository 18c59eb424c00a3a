"""What a model sees, against what the header says."""

import pytest

from cxr_node.domain.film_geometry import Geometry, View, ViewSource
from cxr_node.domain.reading import Appearance
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.view_check import judge_appearance, with_view


def appearance_of(view: View | None, *, score: float = 0.99, distance: float = 1.0) -> Appearance:
    return Appearance(view=view, score=score, distance=distance, limit=4.0)


def stated(view: View = View.UNKNOWN) -> Geometry:
    source = ViewSource.NONE if view is View.UNKNOWN else ViewSource.VIEW_POSITION
    return Geometry(rows=300, columns=280, view=view, view_source=source)


@pytest.mark.parametrize(
    ("appearance", "view", "reason", "notes"),
    [
        (appearance_of(None), View.PA, Reason.BODY_PART, ()),
        (appearance_of(None, score=0.4), View.UNKNOWN, Reason.BODY_PART, ()),
        (appearance_of(None, score=0.9), View.AP, Reason.BODY_PART, ()),
        (appearance_of(None, score=0.89), View.AP, None, (Note.CHEST_DOUBTED,)),
        (appearance_of(None, score=0.89, distance=4.1), View.AP, Reason.UNUSUAL, ()),
        (appearance_of(View.PA, distance=4.1), View.PA, Reason.UNUSUAL, ()),
        (appearance_of(View.PA, distance=4.0), View.PA, None, ()),
        (appearance_of(View.LATERAL), View.UNKNOWN, Reason.VIEW, ()),
        (appearance_of(View.LATERAL, score=0.89), View.UNKNOWN, None, ()),
        (appearance_of(View.LATERAL), View.PA, None, (Note.VIEW_DOUBTED,)),
        (appearance_of(View.AP), View.PA, None, (Note.VIEW_DOUBTED,)),
        (appearance_of(View.AP, score=0.89), View.PA, None, ()),
        (appearance_of(View.AP), View.AP, None, ()),
        (appearance_of(View.AP), View.UNKNOWN, None, ()),
    ],
)
def test_what_the_model_sees_refuses_doubts_or_agrees(
    appearance: Appearance, view: View, reason: Reason | None, notes: tuple[Note, ...]
) -> None:
    verdict = judge_appearance(appearance, stated(view), Rules(), states_frontal_chest=view.is_frontal)

    assert (verdict.refused, verdict.notes) == (reason, notes)
    assert bool(verdict.detail) == (reason is not None)


def test_a_view_that_is_stated_nowhere_is_the_models() -> None:
    checked = with_view(stated(), appearance_of(View.AP), Rules())

    assert (checked.view, checked.view_source) == (View.AP, ViewSource.NETWORK)


@pytest.mark.parametrize(
    ("geometry", "appearance", "rules"),
    [
        (stated(View.PA), appearance_of(View.AP), Rules()),
        (stated(), appearance_of(View.AP, score=0.89), Rules()),
        (stated(), appearance_of(View.AP), Rules(view_from_model=False)),
        (stated(), appearance_of(None), Rules()),
    ],
)
def test_a_view_is_otherwise_left_as_it_is(geometry: Geometry, appearance: Appearance, rules: Rules) -> None:
    assert with_view(geometry, appearance, rules) == geometry
