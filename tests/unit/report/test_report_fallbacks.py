"""Fallback forms of the report for archives without Comprehensive 3D SR."""

from pydicom.uid import BasicTextSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report import summary
from cxr_node.report.header.encoding import encoded
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.sr.tree import items, lines
from tests.support import films
from tests.unit.report.studies import NODE, composed, everything, finding, not_read, parsed, read


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


def test_the_text_form_has_all_presences_and_the_caution() -> None:
    report = parsed(composed(basic_text.TEXT, [everything(films.dx())]))
    text = "\n".join(line for _, line in lines(report))
    assert "Opacity (lung, left): present, score 87.3 of 100, operating point 50.0." in text
    assert "Pneumothorax (pleura): undetermined" in text
    assert "Cardiomegaly (heart): absent" in text
    assert "Cardiothoracic ratio 0.53." in text
    assert ENGLISH.phrases.caution in text
    assert ENGLISH.phrases.score_meaning in text


def test_the_text_form_has_the_reason_of_a_film_not_analysed() -> None:
    study = [read(films.dx(), finding("Nodule", 0.1, Presence.ABSENT)), not_read(films.cr(), Reason.AGE)]
    text = "\n".join(line for _, line in lines(parsed(composed(basic_text.TEXT, study))))
    assert f"Not analysed: {Reason.AGE.meaning}." in text
    assert ENGLISH.phrases.no_finding in text


def test_a_model_without_targets_leaves_no_section_empty() -> None:
    text = [line for _, line in lines(parsed(composed(basic_text.TEXT, [read(films.dx())])))]
    assert "Finding: The model looked for no finding." in text


def test_the_summary_of_a_model_without_targets_states_that() -> None:
    text = summary.paragraph([read(films.dx()).reading])

    assert ENGLISH.phrases.no_targets in text
    assert ENGLISH.phrases.no_finding not in text


def test_the_content_tree_is_the_same_at_each_call() -> None:
    film = everything(films.dx())
    trees = {encoded(tid1500.content([film], NODE)) for _ in range(2)}
    assert len(trees) == 1
