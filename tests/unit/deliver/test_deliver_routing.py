"""Conditions of destinations, held against facts."""

from dataclasses import replace

import pytest

from cxr_node.deliver.routing import Condition, FilmFacts, film_decision, study_decision
from cxr_node.domain.film_geometry import View

FILM = FilmFacts(calling_ae_title="DX1", station_name="ROOM 3", view=View.PA, findings=frozenset({"lung_opacity"}))


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (Condition(), True),
        (Condition(calling_ae_titles=("DX1", "DX2")), True),
        (Condition(calling_ae_titles=("DX2",)), False),
        (Condition(station_names=("ROOM 3",)), True),
        (Condition(station_names=("ROOM",)), False),
        (Condition(views=(View.PA, View.AP)), True),
        (Condition(views=(View.AP,)), False),
        (Condition(findings=("lung_opacity",)), True),
        (Condition(findings=("effusion",)), False),
        (Condition(calling_ae_titles=("DX1",), views=(View.AP,)), False),
    ],
)
def test_a_film_meets_a_condition_if_it_meets_every_field(condition: Condition, met: bool) -> None:
    decision = film_decision(condition, FILM)

    assert decision.met is met
    assert decision.reason


def test_a_condition_on_findings_is_open_before_the_reading() -> None:
    unread = replace(FILM, findings=None)

    assert film_decision(Condition(findings=("lung_opacity",)), unread).met is None
    assert film_decision(Condition(findings=("lung_opacity",), views=(View.AP,)), unread).met is False


def test_a_study_meets_a_condition_if_one_film_does() -> None:
    condition = Condition(findings=("lung_opacity",))
    quiet = replace(FILM, findings=frozenset())

    assert study_decision(condition, [quiet, FILM]).met is True
    assert study_decision(condition, [quiet, quiet]).met is False
    assert study_decision(condition, []).met is False


def test_the_reason_names_the_value_and_the_condition() -> None:
    decision = film_decision(Condition(calling_ae_titles=("DX2",)), FILM)

    assert decision.reason == "calling AE title DX1 is not one of DX2"
