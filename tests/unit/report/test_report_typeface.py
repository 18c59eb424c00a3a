"""Fonts of pictures and pages: every letter of every language, and the license beside them."""

from dataclasses import fields
from importlib.resources import files
from io import BytesIO

import pytest
from fontTools.ttLib import TTFont

from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.pictures.typeface import FILES, Typeface, content, typeface_of


@pytest.mark.slow
@pytest.mark.parametrize("face", FILES)
def test_a_font_has_every_character_that_it_is_used_for(face: str) -> None:
    mapped = TTFont(BytesIO(content(face))).getBestCmap()
    typeface = Typeface(faces=(face,))
    used = {point for point in range(0x20, 0x10000) if not 0xD800 <= point < 0xE000 and typeface.covers(chr(point))}

    assert {hex(point) for point in used - set(mapped)} == set()
    assert len(used) > 400


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_language_is_written_in_its_first_font(name: str) -> None:
    language = LANGUAGES[name]
    typeface = typeface_of(language)
    phrases = [getattr(language.phrases, field.name) for field in fields(language.phrases)]

    for text in (*phrases, *language.terms.by_code().values()):
        assert {face for face, _ in typeface.runs(text)} <= {"sc" if name == "zh" else "jp", "letters"}, text
        assert "".join(part for _, part in typeface.runs(text)) == text


def test_a_character_of_another_language_comes_from_the_other_font() -> None:
    assert list(typeface_of(LANGUAGES["en"]).runs("a简単")) == [("jp", "a"), ("sc", "简"), ("jp", "単")]
    assert list(typeface_of(LANGUAGES["en"]).runs("a한")) == [("jp", "a?")]
    assert list(typeface_of(LANGUAGES["ja"]).runs("Łｱ")) == [("letters", "Ł"), ("jp", "ｱ")]


def test_lines_break_between_words_and_between_characters() -> None:
    typeface = typeface_of(LANGUAGES["ja"])

    assert typeface.wrapped("one two", typeface.width("one tw", 22), 22) == ["one", "two"]
    assert typeface.wrapped("所見あり。", typeface.width("所見あり", 22), 22) == ["所見あ", "り。"]
    assert typeface.wrapped("所見（左）", typeface.width("所見（", 22), 22) == ["所見", "（左）"]
    assert typeface.wrapped("", 100, 22) == []


def test_the_license_is_beside_the_fonts() -> None:
    folder = files("cxr_node.report.fonts")

    assert "SIL OPEN FONT LICENSE Version 1.1" in folder.joinpath("OFL.txt").read_text(encoding="utf-8")
    assert sum(len(content(face)) for face in FILES) < 5_000_000
