"""Words of every kind in five languages: none that only English has."""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from string import Formatter

import pytest

from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Measurement, Observation, Presence, Topic
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH, LANGUAGES
from cxr_node.report.source import ReportedFilm
from tests.support import films
from tests.unit.report.studies import NODE, everything, finding, not_read, read, request, square
from tests.unit.report.words import results_with_words

_LINE = ((20.0, 20.0), (60.0, 60.0))
_SHORTEST = 4
"""Letters of a word that is looked for: shorter ones are units, abbreviations and words of several languages."""
_NAMES = {"cxr", "node", "chest", "opacity", "testnode", "filmer", "testa"}
"""Of the node, of the model, and of the patient."""


def _measured() -> ReportedFilm:
    """Return a film with every note, and with a measurement and an observation for every code."""
    film = everything(films.dx(rows=160, columns=128))
    named = (*codes.MEASUREMENTS.values(), *codes.OBSERVATIONS, *codes.STRUCTURES)
    measurements = [
        Measurement(key=f"m/{one.value}", code=one, value=0.42, unit=concepts.MILLIMETER, line=_LINE, provenance="")
        for one in named
    ]
    known = ("mediastinal_width", concepts.MEDIASTINAL_WIDTH), ("costophrenic_angle/left", concepts.COSTOPHRENIC_ANGLE)
    measurements += [
        Measurement(key=key, code=one, value=40.0, unit=concepts.DEGREE, line=_LINE, provenance="")
        for key, one in known
    ]
    observed = [
        Observation(key=f"o/{one.value}", topic=Topic.BORDERS, code=concepts.OBSCURED, value=one, line=_LINE)
        for one in named
    ]
    quality = [
        Observation(key=f"q/{one.value}", topic=Topic.QUALITY, code=one, value=concepts.LIMITED)
        for one in (*codes.QUALITY_CRITERIA, concepts.QUALITY_ASSESSMENT)
    ]
    reading = replace(
        film.reading,
        notes=tuple(Note),
        measurements=(*film.reading.measurements, *measurements),
        observations=(*observed, *quality),
    )
    return replace(film, reading=reading)


def _study() -> list[ReportedFilm]:
    present = ("Nodule", "Pneumothorax")
    absent = [finding(key, 0.1, Presence.ABSENT) for key in codes.FINDINGS if key not in present]
    findings = [finding(key, 0.9, Presence.PRESENT, regions=(square(9, 9, 9),)) for key in present]
    return [_measured(), read(films.cr(), *absent, *findings, view=View.AP), not_read(films.sc(), Reason.VIEW)]


def _words(texts: Iterable[str]) -> set[str]:
    letters = re.compile(rf"[^\W\d_]{{{_SHORTEST},}}")
    return {word.lower() for text in texts for word in letters.findall(text)}


def _vocabulary(language: Language) -> set[str]:
    """Return the words of the terms and sentences of a language."""
    sentences = [getattr(language.phrases, field.name) for field in fields(language.phrases)]
    fixed = [part for sentence in sentences for part, _, _, _ in Formatter().parse(sentence)]
    return _words([*fixed, *language.terms.by_code().values(), language.code.meaning])


def test_the_vocabulary_of_english_has_what_results_state() -> None:
    assert {"suspected", "threshold", "costophrenic", "mediastinum", "quality", "present"} <= _vocabulary(ENGLISH)


@pytest.mark.slow
def test_english_words_are_found_in_english_results() -> None:
    """The test below could not fail if no word were found."""
    for kind in RESULT_KINDS:
        for _, texts in results_with_words(kind, request(_study())):
            assert len(_words(texts) & _vocabulary(ENGLISH)) > 3, kind.name


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LANGUAGES if name != "en"])
def test_no_kind_has_english_words_in_another_language(name: str) -> None:
    language = LANGUAGES[name]
    foreign = _vocabulary(ENGLISH) - _vocabulary(language) - _NAMES
    wanted = request(_study(), observer=replace(NODE, language=language))

    english = {
        (kind.name, word)
        for kind in RESULT_KINDS
        for _, texts in results_with_words(kind, wanted)
        for word in _words(texts) & foreign
    }
    assert english == set()
