"""Words of the demo's last table."""

from cxr_node.cli.demo_table import answer_of, scores_of
from cxr_node.domain import concepts

OPACITY = {
    "key": "lung_opacity",
    "code_meaning": "Opacity",
    "laterality": "right",
    "score": 0.504,
    "operating_point": 0.236,
    "presence": "present",
}
EFFUSION = {
    **OPACITY,
    "key": "pleural_effusion",
    "code_meaning": "Pleural effusion",
    "laterality": None,
    "score": 0.09,
    "operating_point": 0.12,
    "presence": "absent",
}
RATIO = {
    **EFFUSION,
    "key": concepts.CARDIOMEGALY_BY_RATIO,
    "code_meaning": "Cardiomegaly",
    "score": 0.528,
    "operating_point": 0.53,
    "presence": "undetermined",
}
ANALYSED = {"state": "done", "reason": None}


def test_the_answer_names_findings_with_their_side_and_doubt() -> None:
    assert answer_of(ANALYSED, [OPACITY, EFFUSION, RATIO]) == "opacity, right; cardiomegaly undetermined"


def test_a_film_with_absent_findings_only_has_no_finding() -> None:
    assert answer_of(ANALYSED, [EFFUSION]) == "no finding"


def test_a_film_that_was_not_analysed_has_its_reason_and_no_scores() -> None:
    film = {"state": "not_analysed", "reason": "BODYPART"}

    assert answer_of(film, []) == "not analysed: Not a chest radiograph"
    assert scores_of([]) == "-"


def test_scores_are_percents_and_a_ratio_differs_from_its_threshold() -> None:
    assert scores_of([OPACITY, RATIO]) == "opacity 50 / 24; cardiomegaly 0.528 / 0.53"
