"""docs/reference/reasons.md and the explanations of codes against the code."""

import ast
import re
from collections.abc import Iterator
from enum import Enum
from urllib.error import URLError

import pytest

from cxr_node.domain.commitment import FailureReason
from cxr_node.domain.errors import cause_of
from cxr_node.domain.explanations import Explanation, Group, explanations, find_explanations, parse_explanations
from cxr_node.domain.reasons import Note, Reason
from cxr_node.ops.reason_document import tables, with_tables
from cxr_node.receive.events import ConnectionFailure
from cxr_node.receive.rejection import Rejection, WebRejection
from cxr_node.receive.status import StoreStatus, comment_of
from cxr_node.settings.root import Settings
from tests.support.films import ROOT

PAGE = (ROOT / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")
TABLE = (ROOT / "cxr_node" / "domain" / "explanations.toml").read_text(encoding="utf-8")
EVERY = [entry for entries in explanations().values() for entry in entries.values()]


def named(kinds: type[Enum]) -> set[str]:
    return {kind.name.lower() for kind in kinds}


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    assert with_tables(PAGE) == PAGE, "write: python -m cxr_node.ops.reason_document docs/reference/reasons.md"
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
        Group.DICOMWEB: {rejection.counted_as for rejection in WebRejection},
    }


def test_the_values_in_messages_are_those_of_the_code() -> None:
    values = {entry.name: entry.code for entry in EVERY if entry.group in (Group.C_STORE, Group.ASSOCIATION)}

    assert values == {status.name.lower(): f"{status:04X}" for status in StoreStatus if status} | {
        rejection.name.lower(): ", ".join(map(str, rejection.value)) for rejection in Rejection
    }
    web = explanations()[Group.DICOMWEB]
    assert {name: entry.code for name, entry in web.items()} == {
        rejection.counted_as: str(rejection.value) for rejection in WebRejection
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


def names_of_classes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield each expression that is the name of a value's class, outside of calls of the module's logger."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"))):
                continue
            case ast.Attribute(value=ast.Call(func=ast.Name(id="type")), attr="__name__" | "__qualname__"):
                yield node
            case ast.Attribute(value=ast.Attribute(attr="__class__"), attr="__name__" | "__qualname__"):
                yield node
        yield from names_of_classes(node)


@pytest.mark.slow
def test_only_log_lines_name_a_class_of_the_program() -> None:
    """Rows, reports, responses, pages and commands say what is so; `type_and_place` is for the log."""
    places = {
        f"{path.relative_to(ROOT)}"
        for path in (ROOT / "cxr_node").rglob("*.py")
        for _ in names_of_classes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert places == {"cxr_node/domain/errors.py"}
    assert len(list(names_of_classes(ast.parse("raise GiveUp(reason, f'{type(error).__name__}')")))) == 1


@pytest.mark.slow
def test_type_and_place_are_used_in_log_lines_only() -> None:
    uses = {
        (str(path.relative_to(ROOT)), ast.unparse(statement))
        for path in (ROOT / "cxr_node").rglob("*.py")
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(statement, ast.Return | ast.Assign | ast.Raise) and "type_and_place(" in ast.unparse(statement)
    }
    assert {path for path, _ in uses} == {
        "cxr_node/process_pool/worker.py",  # to the parent process, which logs it
        "cxr_node/pixels/sandboxed.py",  # the same
        "cxr_node/receive/store_scp.py",  # in the function that logs a rejection
    }


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "timed out"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (ConnectionResetError(), "the connection or the file ended early"),
        (EOFError(), "the connection or the file ended early"),
        (OSError(), "it cannot be read or written"),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "JANE"), "it is not text"),
        (KeyError("JANE"), "it is not what is expected"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_cause_of_an_error_is_in_plain_words(error: Exception, words: str) -> None:
    assert cause_of(error) == words


@pytest.mark.parametrize("error", [KeyError("JANE"), ValueError(), MemoryError(), OSError(5, "EIO"), RuntimeError("x")])
def test_no_error_comment_names_a_class(error: Exception) -> None:
    assert comment_of(error) in ("not stored, send again later", "not stored, internal error")


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
