"""docs/reasons.md and the explanations of codes against the code."""

import re
from enum import Enum

import pytest

from cxr_node.domain.commitment import FailureReason
from cxr_node.domain.explanations import Explanation, Group, explanations, find_explanations, parse_explanations
from cxr_node.domain.reasons import Note, Reason
from cxr_node.ops.reason_document import tables, with_tables
from cxr_node.receive.admission import Rejection
from cxr_node.receive.events import ConnectionFailure
from cxr_node.receive.status import StoreStatus
from cxr_node.settings.root import Settings
from tests.support.films import ROOT

PAGE = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
TABLE = (ROOT / "cxr_node" / "domain" / "explanations.toml").read_text(encoding="utf-8")
EVERY = [entry for entries in explanations().values() for entry in entries.values()]


def named(kinds: type[Enum]) -> set[str]:
    return {kind.name.lower() for kind in kinds}


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    assert with_tables(PAGE) == PAGE, "write them anew: python -m cxr_node.ops.reason_document docs/reasons.md"
    assert sorted(re.findall(r"<!-- table: ([a-z-]+) -->", PAGE)) == sorted(tables())


def test_every_code_of_the_node_is_explained() -> None:
    assert {group: set(entries) for group, entries in explanations().items()} == {
        Group.NOT_ANALYSED: set(Reason),
        Group.NOTE: set(Note),
        Group.C_STORE: named(StoreStatus) - {"success"},
        Group.ASSOCIATION: named(Rejection),
        Group.CONNECTION: {failure.value for failure in ConnectionFailure} | {"no_tls"},
        Group.PRESENTATION_CONTEXT: {"abstract_syntax_not_supported", "transfer_syntaxes_not_supported"},
        Group.STORAGE_COMMITMENT: named(FailureReason),
    }


def test_the_values_in_messages_are_those_of_the_code() -> None:
    values = {entry.name: entry.code for entry in EVERY if entry.group in (Group.C_STORE, Group.ASSOCIATION)}

    assert values == {status.name.lower(): f"{status:04X}" for status in StoreStatus if status} | {
        rejection.name.lower(): ", ".join(map(str, rejection.value)) for rejection in Rejection
    }
    commitment = explanations()[Group.STORAGE_COMMITMENT]
    assert {name: entry.code for name, entry in commitment.items()} == {
        reason.name.lower(): f"{reason:04X}" for reason in FailureReason
    }


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: f"{entry.group} {entry.name}")
def test_an_explanation_has_three_short_plain_answers(entry: Explanation) -> None:
    for text in (entry.fact, entry.effect, entry.remedy):
        assert text.endswith(".")
        assert "|" not in text
        assert not re.search(r"\b[A-Z][a-z]+([A-Z][a-z]+)+\b", text), "the name of a class"
        assert not re.search(r"Error\b(?! Comment)|Exception|exception|Traceback|None\b|null", text)
        for sentence in re.split(r"(?<=[.:;]) ", text):
            assert len(sentence.split()) <= 30, sentence


def test_every_setting_that_an_explanation_names_exists() -> None:
    settings = Settings()
    names = set(re.findall(r"`(\w+)\.(\w+)`", " ".join(entry.fact + entry.effect + entry.remedy for entry in EVERY)))

    assert ("gate", "minimum_age_years") in names
    assert not [name for name in names if not hasattr(getattr(settings, name[0]), name[1])]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("[not_analysed.VIEW]", "[not_analysed.VEIW]"), r"absent \['VIEW'\], unknown \['VEIW'\]"),
        (("[note.SHUTTER]\nfact", "[note.SHUTTER]\nreason"), r"note.SHUTTER: absent \['fact'\], unknown \['reason'\]"),
        (("[c_store.", "[cstore."), r"groups: absent \['c_store'\]"),
        (('"An error within the node."', '""'), "c_store.processing_failure: a word is empty"),
    ],
)
def test_a_fault_in_the_table_is_found_when_it_is_read(change: tuple[str, str], fault: str) -> None:
    assert change[0] in TABLE
    with pytest.raises(ValueError, match=fault):
        parse_explanations(TABLE.replace(*change))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bodypart", ["BODYPART"]),
        ("0xA700", ["out_of_resources"]),
        ("A700", ["out_of_resources"]),
        ("Out of resources".replace(" ", "_"), ["out_of_resources"]),
        ("2,3,1", ["temporary_congestion"]),
        ("0110", ["processing_failure", "processing_failure"]),
        ("no such code", []),
    ],
)
def test_a_code_is_found_as_people_write_it(text: str, names: list[str]) -> None:
    assert [entry.name for entry in find_explanations(text)] == names
