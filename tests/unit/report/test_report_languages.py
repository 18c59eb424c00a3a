"""Results in every language: other terms, the same codes."""

from dataclasses import replace
from importlib.resources import files
from string import Formatter
from typing import cast

import pytest
from PIL import ImageFont
from pydicom.dataset import Dataset

from cxr_node.config import ConfigurationError, parse
from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.result_languages import LANGUAGE_NAMES
from cxr_node.report import codes
from cxr_node.report.check import faults_of
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds import basic_text, key_objects, presentation_state, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.languages import registry
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH, LANGUAGES
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.tree import items, name_of
from cxr_node.report.study import collate
from cxr_node.settings import results
from tests.support import films
from tests.unit.report.ohif import shown
from tests.unit.report.studies import composed, everything, finding, not_read, parsed, read

_OTHERS = [name for name in LANGUAGES if name != "en"]
_CODED = ("ConceptNameCodeSequence", "ConceptCodeSequence")


def _node(language: str) -> Observer:
    return Observer(name="TESTNODE", serial_number="7", language=LANGUAGES[language])


def _study() -> list[ReportedFilm]:
    return [everything(films.dx()), not_read(films.cr(), Reason.TIMEOUT, "LATERAL")]


def _report(language: str, kind: ResultKind = tid1500.REPORT) -> Dataset:
    return parsed(composed(kind, _study(), observer=_node(language)))


def _codes(document: Dataset) -> list[tuple[str, str]]:
    """Return every code of a document but its language, in order."""
    return [
        (str(entry.CodingSchemeDesignator), str(entry.CodeValue))
        for _, item in items(document)
        for keyword in _CODED
        for entry in item.get(keyword, ())
        if name_of(item) != codes.LANGUAGE.value
    ]


def _texts(document: Dataset, name: str) -> list[str]:
    return [str(item.TextValue) for _, item in items(document) if name_of(item) == name]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_language_has_a_term_for_every_concept_of_the_node(name: str) -> None:
    words = LANGUAGES[name].terms
    assert set(words.findings) == set(codes.FINDINGS)
    assert set(words.structures) == set(codes.STRUCTURES)
    assert set(words.structures) >= {site for _, site, _ in codes.FINDINGS.values()}
    assert set(words.statements) == set(codes.STATEMENTS)
    assert set(words.presences) == set(Presence)
    assert set(words.sides) == set(Laterality)
    assert set(words.views) == set(View) - {View.UNKNOWN}
    assert set(words.measurements) == set(codes.MEASUREMENTS)
    assert set(words.observations) == set(codes.OBSERVATIONS)
    assert set(words.concepts) == set(codes.CONCEPTS)
    assert {*codes.OBSERVATIONS, *codes.STRUCTURES, *codes.STATEMENTS} >= {
        code for code in codes.MEASURE_CODES if code != concepts.QUALITY_ASSESSMENT
    }
    assert set(words.reasons) == set(Reason)
    assert set(words.notes) == set(Note)


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        ('"Nodule" = "Rundherd"', "", r"de\.toml \[findings\]: absent \['Nodule'\], unknown \[\]"),
        ('"Nodule" = "Rundherd"', '"Noddle" = "Rundherd"', r"de\.toml \[findings\].*'Nodule'.*unknown \['Noddle'\]"),
        ('detail = " ({detail})"', "", r"de\.toml \[phrases\]: absent \['detail'\]"),
        ("[notes]", "[remarks]", r"de\.toml: absent \['notes'\], unknown \['remarks'\]"),
        ('value = "de"', "", r"de\.toml \[code\]: absent \['value'\]"),
    ],
)
def test_an_incomplete_language_file_is_refused(line: str, replacement: str, message: str) -> None:
    text = files(registry.__package__).joinpath("de.toml").read_text(encoding="utf-8")
    assert line in text

    with pytest.raises(ValueError, match=message):
        registry.parse_language("de", text.replace(line, replacement))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_term_fits_a_code_meaning(name: str) -> None:
    for word in LANGUAGES[name].terms.by_code().values():
        assert 0 < len(word.encode()) <= 64, word  # PS3.5 means characters; dciodvfy and some archives count bytes
        assert word == word.strip()
        assert "\\" not in word


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_language_has_one_term_for_two_concepts(name: str) -> None:
    words = LANGUAGES[name].terms
    tables = (words.findings, words.presences, words.sides, words.reasons, words.notes, words.statements)
    for table in (*tables, words.observations, words.concepts):
        assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("name", _OTHERS)
def test_a_sentence_has_the_same_places_in_every_language(name: str) -> None:
    def places(language: Language, sentence: str) -> set[str]:
        return {field for _, field, _, _ in Formatter().parse(getattr(language.phrases, sentence)) if field}

    for sentence in ENGLISH.phrases.__slots__:
        assert places(LANGUAGES[name], sentence) == places(ENGLISH, sentence), sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", _OTHERS)
def test_codes_numbers_and_coordinates_are_the_same_in_every_language(name: str) -> None:
    english, other = _report("en", tid1500.REPORT_OHIF), _report(name, tid1500.REPORT_OHIF)
    assert _codes(other) == _codes(english)
    for value_type, keyword in (("NUM", "MeasuredValueSequence"), ("SCOORD", "GraphicData"), ("UIDREF", "UID")):
        values = [
            [item[keyword].value for _, item in items(report) if item.ValueType == value_type]
            for report in (english, other)
        ]
        assert values[0] == values[1]
    assert [group.tracking_uid for group in shown(other)] == [group.tracking_uid for group in shown(english)]
    for identifier in (codes.TRACKING_IDENTIFIER, codes.ALGORITHM_PARAMETERS):
        assert _texts(other, identifier.value) == _texts(english, identifier.value)


@pytest.mark.parametrize(
    ("name", "tag"), {"en": "en-US", "zh": "zh-Hans", "de": "de", "es": "es", "fr": "fr", "ja": "ja"}.items()
)
def test_a_report_states_its_language(name: str, tag: str) -> None:
    (language,) = [item for _, item in items(_report(name)) if name_of(item) == codes.LANGUAGE.value]
    assert language.ConceptCodeSequence[0].CodeValue == tag
    assert language.ConceptCodeSequence[0].CodingSchemeDesignator == "RFC5646"


@pytest.mark.parametrize("name", _OTHERS)
def test_findings_reasons_and_caution_are_in_the_language(name: str) -> None:
    language, report = LANGUAGES[name], _report(name)
    meanings = {str(item.ConceptCodeSequence[0].CodeMeaning) for _, item in items(report) if item.ValueType == "CODE"}
    words = language.terms
    assert {words.findings["Lung Opacity"], words.reasons[Reason.TIMEOUT], words.notes[Note.NO_VOI]} <= meanings
    assert {words.presences[Presence.ABSENT], words.sides[Laterality.LEFT], words.views[View.PA]} <= meanings
    assert words.statements[codes.PART_WITH_FINDINGS] in meanings
    (summary,) = _texts(report, codes.SUMMARY.value)
    assert language.within_sentence(codes.FINDINGS["Pneumothorax"][0]) in summary
    assert words.reasons[Reason.TIMEOUT] in summary
    assert language.phrases.score_meaning in summary
    for english in ("IMPRESSION", "Film 1", "threshold", "Looked for", "Note:", "Not analysed"):
        assert english not in summary
    assert _texts(report, codes.COMMENT.value)[-1] == language.phrases.caution


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize(
    "kind", [tid1500.REPORT, basic_text.TEXT, key_objects.KEY_IMAGES], ids=lambda kind: str(kind.name)
)
def test_a_document_in_any_language_keeps_its_promises(kind: ResultKind, name: str) -> None:
    study = [everything(films.dx())]
    document = parsed(composed(kind, study, observer=_node(name)))
    assert faults_of(document, collate(study), kind.result_type) == ()
    text = " ".join(str(item.TextValue) for _, item in items(document) if item.ValueType == "TEXT")
    assert LANGUAGES[name].phrases.caution in text


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_presentation_state_is_labelled_in_the_language(name: str) -> None:
    marks = composed(presentation_state.PRESENTATION_STATE, [everything(films.dx())], observer=_node(name))
    labels = [str(text.UnformattedTextValue) for text in parsed(marks).GraphicAnnotationSequence[0].TextObjectSequence]
    assert labels[0].startswith(LANGUAGES[name].terms.findings["Lung Opacity"])
    assert labels[-1] == LANGUAGES[name].phrases.caution


def test_another_language_is_another_result_of_the_same_series() -> None:
    english, german = (composed(tid1500.REPORT, _study(), observer=_node(name)).identity for name in ("en", "de"))
    assert english.sop_instance_uid != german.sop_instance_uid
    assert english.series_instance_uid == german.series_instance_uid


def test_numbers_have_the_decimal_sign_of_the_language() -> None:
    film = read(films.dx(), finding("Effusion", 0.503, Presence.PRESENT, laterality=Laterality.LEFT))
    assert impression_of([film], LANGUAGES["de"]).lines[1] == (
        "Verdacht auf Pleuraerguss, links (Score 50,3, Schwelle 50)."
    )
    assert impression_of([film], LANGUAGES["ja"]).lines[1] == "胸水の疑い、左（スコア50.3、閾値50）。"


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'kl'.*en, zh, de, es, fr, ja"):
        parse({"report": {"language": "kl"}})


@pytest.mark.parametrize("letter", ["é", "ü", "ñ", "肺", "心", "あ"])
def test_the_font_of_pictures_has_no_letters_but_those_of_english(letter: str) -> None:
    """If this fails, pictures can be in other languages too."""
    font = ImageFont.load_default(17)
    absent = bytes(font.getmask("\U0010ffff"))
    assert bytes(font.getmask(letter)) == absent
    assert bytes(font.getmask("e")) != absent


@pytest.mark.slow
def test_composing_in_one_language_does_not_change_the_others() -> None:
    def digest(language: str) -> str:
        return composed(tid1500.REPORT, _study(), observer=_node(language)).digest

    before = {name: digest(name) for name in LANGUAGES}

    assert {name: digest(name) for name in reversed(list(LANGUAGES))} == before
    assert len(set(before.values())) == len(LANGUAGES)


def test_a_new_language_takes_a_line_in_the_registry_and_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings find a planted language by its name, results and their check by the registry."""
    caution = "FORSCHNING. Datorresultat."
    planted = replace(ENGLISH, phrases=replace(ENGLISH.phrases, caution=caution))
    monkeypatch.setitem(cast("dict[str, Language]", LANGUAGES), "sv", planted)
    monkeypatch.setattr(results, "LANGUAGE_NAMES", (*LANGUAGE_NAMES, "sv"))

    assert parse({"report": {"language": "sv"}}).report.language == "sv"
    assert caution in _texts(_report("sv"), codes.COMMENT.value)
