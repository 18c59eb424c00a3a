"""Table of codes against the proofs that it states."""

from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from pydicom.sr._concepts_dict import concepts

from cxr_node.domain.codes import Code
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.codes import Proof
from cxr_node.report.sr.check_digit import has_valid_check_digit
from tests.support import films

_NOT_IN_PYDICOM = {
    ("RFC5646", "en-US"): Proof.STANDARD,
    ("UMLS", "C0034375"): Proof.STANDARD,
    ("UMLS", "C2348792"): Proof.STANDARD,
    ("UCUM", "{score}"): Proof.STANDARD,
    ("SCT", "399208008"): Proof.CURATED,
}
_LONGER_TERMS = {
    "816094009": {"Thorax"},
    "51440002": {"Right and left (qualifier value)"},
    "260753009": {"Source (attribute)"},
    "272479007": {"Posteroanterior projection (qualifier value)"},
    "399348003": {"Antero-posterior projection (qualifier value)"},
    "39607008": {"Lung structure (body structure)"},
    "80891009": {"Heart structure (body structure)"},
    "3120008": {"Pleural structure"},
    "72410000": {"Mediastinal structure"},
    "281392002": {"Upper zone of lung"},
    "281393007": {"Middle zone of lung"},
    "281394001": {"Lower zone of lung"},
}
"""SNOMED CT codes whose preferred term in the dictionary is longer than in PS3.16; compared by hand."""


def _constants() -> Iterator[Code]:
    for value in vars(codes).values():
        if isinstance(value, Code):
            yield value
    for table in (codes.PRESENCES, codes.LATERALITIES, codes.VIEWS, codes.MODALITIES, codes.CHANGES):
        yield from table.values()
    yield from codes.MEASURE_CODES


_FINDINGS_IN_PYDICOM = [code for code, _, proof in codes.FINDINGS.values() if proof is Proof.PYDICOM]
_FINDINGS_ELSEWHERE = [code for code, _, proof in codes.FINDINGS.values() if proof is not Proof.PYDICOM]
_STANDARD = [
    code
    for code in [*_constants(), *_FINDINGS_IN_PYDICOM]
    if code.scheme_designator != codes.PRIVATE_SCHEME and (code.scheme_designator, code.value) not in _NOT_IN_PYDICOM
]
_ALL = [*dict.fromkeys(_constants()), *(code for code, _, _ in codes.FINDINGS.values()), *codes.MEASUREMENTS.values()]


def _meanings(code: Code) -> set[str]:
    """Return pydicom's meanings of a code; several keywords may have it, each with its own wording."""
    keywords = cast("Mapping[str, Mapping[str, tuple[str, list[int]]]]", concepts.get(code.scheme_designator, {}))
    return {entries[code.value][0] for entries in keywords.values() if code.value in entries}


@pytest.mark.parametrize("code", _STANDARD, ids=lambda code: f"{code.scheme_designator}-{code.value}")
def test_a_code_marked_as_in_pydicom_is_there_with_that_meaning(code: Code) -> None:
    meanings = {meaning.casefold() for meaning in _meanings(code)}
    accepted = {code.meaning.casefold(), *(wording.casefold() for wording in _LONGER_TERMS.get(code.value, set()))}
    assert meanings & accepted, f"{code} is {_meanings(code) or 'not in the dictionary'}"


@pytest.mark.parametrize("code", _FINDINGS_ELSEWHERE, ids=lambda code: code.value)
def test_a_finding_not_in_pydicom_has_no_other_meaning_there(code: Code) -> None:
    assert not _meanings(code)


@pytest.mark.parametrize(
    "code", [code for code in _ALL if code.scheme_designator == "SCT"], ids=lambda code: code.value
)
def test_every_snomed_code_passes_its_check_digit(code: Code) -> None:
    assert has_valid_check_digit(code.value)


def test_no_code_is_on_the_deny_list() -> None:
    assert not {code.value for code in _ALL} & set(codes.DENIED)


def test_the_check_digit_detects_every_single_wrong_digit() -> None:
    right = "233604007"
    for position, digit in enumerate(right):
        for other in set("0123456789") - {digit}:
            assert not has_valid_check_digit(right[:position] + other + right[position + 1 :])


@pytest.mark.parametrize("value", ["95436003", "60567007", "78381009"])
def test_wrong_snomed_codes_of_public_tables_are_detected(value: str) -> None:
    assert not has_valid_check_digit(value)
    assert value in codes.DENIED


def test_every_code_fits_its_attributes() -> None:
    private = [codes.not_processed(reason) for reason in Reason] + [codes.processing_note(note) for note in Note]
    for code in [*_ALL, *private]:
        assert 0 < len(code.value) <= 16
        assert 0 < len(code.scheme_designator) <= 16
        assert 0 < len(code.meaning) <= 64


def test_a_private_code_is_of_the_declared_scheme_and_used_once() -> None:
    private = [code for code in _ALL if code.scheme_designator == codes.PRIVATE_SCHEME]
    private += [codes.not_processed(reason) for reason in Reason] + [codes.processing_note(note) for note in Note]
    assert len({code.value for code in private}) == len(private)


def test_the_page_on_reasons_lists_every_reason_with_its_meaning() -> None:
    page = (films.ROOT / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")
    for reason in Reason:
        assert f"| {reason.value} | **{reason.meaning}.**" in page
