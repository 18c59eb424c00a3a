"""Priority rules, by AE titles and header."""

from dataclasses import replace

from pydicom.datadict import tag_for_keyword

from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive.priority import PriorityRule, priority_boost_s
from tests.support import films
from tests.support.node import received
from tests.support.queue import SENDER

PRIORITY = tag_for_keyword("RequestedProcedurePriority") or 0
STAT = PriorityRule(priority_boost_s=600, header=((PRIORITY, "STAT"), (PRIORITY, "HIGH")))
EMERGENCY_ROOM = PriorityRule(
    priority_boost_s=1800, calling_ae_titles=frozenset({"ER1"}), station_names=frozenset({"ER-DX"})
)


def test_a_film_is_boosted_by_its_header() -> None:
    stat = received(films.dx(changes={"RequestedProcedurePriority": "STAT"}))
    routine = received(films.dx(changes={"RequestedProcedurePriority": "ROUTINE"}))

    assert priority_boost_s(stat, SENDER, [STAT]) == 600
    assert priority_boost_s(routine, SENDER, [STAT]) == 0
    assert priority_boost_s(received(films.dx()), SENDER, [STAT]) == 0


def test_all_fields_of_a_rule_must_match_and_the_largest_boost_wins() -> None:
    film = received(films.dx(changes={"StationName": "ER-DX", "RequestedProcedurePriority": "HIGH"}))
    emergency_sender = replace(SENDER, calling_ae_title=AeTitle("ER1"))

    assert priority_boost_s(film, emergency_sender, [STAT, EMERGENCY_ROOM]) == 1800
    assert priority_boost_s(film, SENDER, [STAT, EMERGENCY_ROOM]) == 600
    assert priority_boost_s(received(films.dx()), emergency_sender, [EMERGENCY_ROOM]) == 0


def test_a_rule_on_titles_alone_does_not_read_the_header() -> None:
    damaged = replace(received(films.dx()), content=b"no DICOM file")
    called = replace(SENDER, called_ae_title=AeTitle("CXRSTAT"))
    rule = PriorityRule(priority_boost_s=60, called_ae_titles=frozenset({"CXRSTAT"}))

    assert priority_boost_s(damaged, called, [rule]) == 60
    assert priority_boost_s(damaged, SENDER, [rule]) == 0
    assert priority_boost_s(damaged, called, [STAT]) == 0
