"""Safe header of a film, made once for all results: no result changes it for the next."""

import pytest

from cxr_node.report.grouping import by_patient
from cxr_node.report.header import safe_header
from cxr_node.report.kinds.basic_text import TEXT
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.kinds.tid1500 import REPORT
from cxr_node.report.source import ReportedFilm
from tests.support import films
from tests.unit.report.studies import everything, request, with_bytes

_NAMED = {"SpecificCharacterSet": b"ISO_IR 192", "PatientName": "Müller^Łucja=山田^太郎".encode()}


def group() -> tuple[ReportedFilm, ...]:
    (films_of_patient,) = by_patient([everything(with_bytes(films.dx(), _NAMED))])
    return films_of_patient


@pytest.mark.slow
def test_results_of_one_header_are_those_of_a_header_each() -> None:
    shared = group()
    for kind in RESULT_KINDS:
        together = [instance.content for instance in kind.compose(request(list(shared)))]
        assert together == [instance.content for instance in kind.compose(request(list(group())))], kind.name
        assert together


def test_a_study_has_its_headers_cleaned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[object] = []
    copy = safe_header._copy

    def counted(source: object, declared: object) -> object:
        cleaned.append(source)
        return copy(source, declared)  # type: ignore[arg-type]  # as called

    monkeypatch.setattr(safe_header, "_copy", counted)
    (film,) = group()
    times = len(cleaned)
    for kind in (REPORT, TEXT):
        assert kind.compose(request([film]))
    assert len(cleaned) == times > 0
