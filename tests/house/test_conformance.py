"""The Conformance Statement against the code."""

import re

import pytest

from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.ops.conformance import tables, with_tables
from cxr_node.report import codes
from cxr_node.report.kinds.registry import RESULT_KINDS
from tests.support.films import ROOT

PAGE = (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")


def test_the_tables_of_the_statement_are_those_of_the_code() -> None:
    assert with_tables(PAGE) == PAGE, "write: python -m cxr_node.ops.conformance docs/reference/conformance.md"


@pytest.mark.slow
def test_the_statement_has_every_table_once() -> None:
    assert sorted(re.findall(r"<!-- table: ([a-z-]+) -->", PAGE)) == sorted(tables())
    assert PAGE.count("<!-- end -->") == len(tables())


@pytest.mark.slow
def test_a_table_changed_by_hand_is_detected() -> None:
    uid = STORAGE_SOP_CLASSES[0]
    assert with_tables(PAGE.replace(f"`{uid}` | no | yes", f"`{uid}` | yes | yes")) == PAGE
    with pytest.raises(KeyError, match="unheard-of"):
        with_tables("<!-- table: unheard-of -->\n<!-- end -->")


def test_every_kind_of_result_is_stated() -> None:
    table = tables()["kinds"]
    for kind in RESULT_KINDS:
        assert f"| {kind.name} |" in table
        assert f"`{kind.result_type.sop_class_uid}`" in table


def test_every_private_code_is_stated() -> None:
    private = [code.value for code, _, _ in codes.FINDINGS.values() if code.scheme_designator == codes.PRIVATE_SCHEME]
    private += [code.value for code in (codes.NOT_PROCESSED, codes.PROCESSING_NOTE, *codes.MEASUREMENTS.values())]
    private += [code.value for code in codes.MEASURE_CODES if code.scheme_designator == codes.PRIVATE_SCHEME]
    private += [reason.value for reason in Reason] + [note.value for note in Note]
    for value in private:
        assert f"\n| {value} | " in PAGE


def test_a_status_that_is_not_delivered_is_never_stated_as_delivered() -> None:
    statuses = tables()["delivery-statuses"]
    delivered = re.findall(r"\| ([0-9A-F]{4}(?: to [0-9A-F]{4})?) \| Delivered \|", statuses)
    assert delivered == ["0000 to 0001", "0107", "0111", "0116", "B000 to BFFF"]
    assert "| A900 to A9FF | Not sent again" in statuses
    assert statuses.rstrip().splitlines()[-1].startswith("| any other, or no response | Sent again later")
