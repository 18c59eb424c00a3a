"""Fallback forms of the report for archives without Comprehensive 3D SR."""

import pytest
from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.encoding import encoded
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.sr.tree import items, lines
from tests.support import films
from tests.unit.report.studies import NODE, composed, everything, finding, not_read, parsed, read


@pytest.mark.slow
def test_a_fallback_has_the_same_content_in_another_sop_class_and_series() -> None:
    film = everything(films.dx())
    first = composed(tid1500.REPORT, [film])
    series = {first.identity.series_instance_uid}
    for kind, sop_class in (
        (tid1500.REPORT_COMPREHENSIVE, ComprehensiveSRStorage),
        (tid1500.REPORT_ENHANCED, EnhancedSRStorage),
    ):
        other = composed(kind, [film])
        assert str(other.identity.sop_class_uid) == parsed(other).SOPClassUID == sop_class
        assert lines(parsed(other)) == lines(parsed(first))
        assert other.identity.sop_instance_uid != first.identity.sop_instance_uid
        series.add(other.identity.series_instance_uid)
    assert len(series) == 3


def test_the_text_form_holds_only_what_every_viewer_shows() -> None:
    report = parsed(composed(basic_text.TEXT, [everything(films.dx())]))
    assert report.SOPClassUID == BasicTextSRStorage
    assert {str(item.ValueType) for _, item in items(report)} <= {"CONTAINER", "TEXT", "CODE", "IMAGE", "UIDREF"}


def test_the_text_form_has_all_presences_and_the_caution_last() -> None:
    report = parsed(composed(basic_text.TEXT, [everything(films.dx())]))
    (finding,) = [line for _, line in lines(report) if line.startswith("Finding: ")]
    text = finding.removeprefix("Finding: ").splitlines()
    assert "Suspected opacity, left lung (score 87, threshold 50)." in text
    assert "Undetermined: pneumothorax (score 50, threshold 50)." in text
    assert "Looked for and not seen: cardiomegaly (score 3, threshold 50)." in text
    assert "CTR 0.53, above the limit (normal < 0.50)." in text
    assert ENGLISH.phrases.score_meaning in text
    *_, closing = [line for _, line in lines(report) if line.startswith("Summary: ")]
    assert closing.splitlines()[-1] == ENGLISH.phrases.caution
    assert sum(ENGLISH.phrases.caution in line for _, line in lines(report)) == 1


def test_the_text_form_has_the_reason_of_a_film_not_analysed() -> None:
    study = [read(films.dx(), finding("Nodule", 0.1, Presence.ABSENT)), not_read(films.cr(), Reason.AGE)]
    text = "\n".join(line for _, line in lines(parsed(composed(basic_text.TEXT, study))))
    assert f"Not analysed: {Reason.AGE.meaning}." in text
    assert ENGLISH.phrases.verdict_normal in text


def test_a_model_without_targets_leaves_no_section_empty() -> None:
    text = "\n".join(line for _, line in lines(parsed(composed(basic_text.TEXT, [read(films.dx())]))))
    assert "Finding: The model looked for no finding." in text


def test_the_content_tree_is_the_same_at_each_call() -> None:
    film = everything(films.dx())
    trees = {encoded(tid1500.content([film], NODE)) for _ in range(2)}
    assert len(trees) == 1
