"""What a model sees, against what the header says."""

import pytest

from cxr_node.domain.radiograph import Geometry, View, ViewSource
from cxr_node.domain.reading import Appearance
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.suitability import Rules
from cxr_node.pixels.view_check import judge_appearance, with_view


def seen(view: View | None, *, score: float = 0.99, distance: float = 1.0) -> Appearance:
    return Appearance(view=view, score=score, distance=distance, limit=4.0)


def stated(view: View = View.UNKNOWN) -> Geometry:
    source = ViewSource.NONE if view is View.UNKNOWN else ViewSource.VIEW_POSITION
    return Geometry(rows=300, columns=280, view=view, view_source=source)


@pytest.mark.parametrize(
    ("appearance", "view", "reason", "notes"),
    [
        (seen(None), View.PA, Reason.BODY_PART, ()),
        (seen(None, score=0.4), View.UNKNOWN, Reason.BODY_PART, ()),
        (seen(View.PA, distance=4.1), View.PA, Reason.UNUSUAL, ()),
        (seen(View.PA, distance=4.0), View.PA, None, ()),
        (seen(View.LATERAL), View.UNKNOWN, Reason.VIEW, ()),
        (seen(View.LATERAL, score=0.89), View.UNKNOWN, None, ()),
        (seen(View.LATERAL), View.PA, None, (Note.VIEW_DOUBTED,)),
        (seen(View.AP), View.PA, None, (Note.VIEW_DOUBTED,)),
        (seen(View.AP, score=0.89), View.PA, None, ()),
        (seen(View.AP), View.AP, None, ()),
        (seen(View.AP), View.UNKNOWN, None, ()),
    ],
)
def test_what_the_model_sees_refuses_doubts_or_agrees(
    appearance: Appearance, view: View, reason: Reason | None, notes: tuple[Note, ...]
) -> None:
    verdict = judge_appearance(appearance, stated(view))

    assert (verdict.refused, verdict.notes) == (reason, notes)
    assert bool(verdict.detail) == (reason is not None)


def test_a_view_that_is_stated_nowhere_is_the_models() -> None:
    checked = with_view(stated(), seen(View.AP), Rules())

    assert (checked.view, checked.view_source) == (View.AP, ViewSource.NETWORK)


@pytest.mark.parametrize(
    ("geometry", "appearance", "rules"),
    [
        (stated(View.PA), seen(View.AP), Rules()),
        (stated(), seen(View.AP, score=0.89), Rules()),
        (stated(), seen(View.AP), Rules(view_from_model=False)),
        (stated(), seen(None), Rules()),
    ],
)
def test_a_view_is_otherwise_left_as_it_is(geometry: Geometry, appearance: Appearance, rules: Rules) -> None:
    assert with_view(geometry, appearance, rules) == geometry
