"""Encapsulated PDF: one page with the impression in every language, embedded fonts, equal bytes for equal films."""

import re
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from pydicom.dataset import Dataset
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.encapsulated_pdf import ENCAPSULATED_PDF
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.pages.truetype import font_of, parse, subset
from cxr_node.report.pictures.typeface import FILES, content
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.study import collate
from tests.support import films, peers
from tests.support.validators import iod_errors, run
from tests.unit.report.studies import NODE, composed, everything, finding, not_read, parsed, previous, read, square


def _object(reported: Sequence[ReportedFilm], observer: Observer = NODE) -> Dataset:
    return parsed(composed(ENCAPSULATED_PDF, reported, observer=observer))


def _page(reported: Sequence[ReportedFilm], observer: Observer = NODE) -> PdfReader:
    document = _object(reported, observer)
    return PdfReader(BytesIO(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]))


def _text(page: PdfReader) -> str:
    """Return the text without any space: lines break anywhere."""
    return _joined("".join(one.extract_text() for one in page.pages))


def _joined(text: str) -> str:
    return re.sub(r"\s", "", text)


def _named(language: str) -> Observer:
    return replace(NODE, language=LANGUAGES[language])


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_page_has_the_impression_in_every_language(name: str) -> None:
    study = [everything(films.dx()), not_read(films.cr(), Reason.VIEW, "LATERAL")]
    page = _page(study, _named(name))

    text, impression = _text(page), impression_of(collate(study), LANGUAGES[name])
    assert [line for film in impression.films for line in film.lines if _joined(line) not in text] == []
    assert _joined(impression.headline) in text
    assert text.count(_joined(impression.notice)) == 1
    assert str(page.root_object["/Lang"]) == LANGUAGES[name].code.value


def test_the_page_names_patient_study_measurements_and_versions() -> None:
    film = everything(films.dx(changes={"AccessionNumber": "A-7", "PatientBirthDate": "19610412"}))
    text = _text(_page([film]))

    for words in (str(film.header.PatientID), "1961-04-12", "A-7", "Cardiothoracicratio0.53", "chest-opacity1.0"):
        assert words in text
    assert "cxr-node9.9" in text


@pytest.mark.slow
def test_a_page_has_the_film_as_sent_and_with_findings() -> None:
    assert len(_page([everything(films.dx())]).pages[0].images) == 2
    assert len(_page([everything(films.dx()), everything(films.cr())]).pages[0].images) == 2
    assert len(_page([not_read(films.dx(), Reason.VIEW)]).pages[0].images) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGES)
def test_long_findings_stay_on_one_page(name: str) -> None:
    regions = (square(2, 2, 9),)
    present = [finding(key, 0.9, Presence.PRESENT, regions=regions) for key in codes.FINDINGS]
    study = [read(film, *present) for film in (films.dx(), films.cr(), films.sc())]
    page = _page(study, _named(name))

    (only,) = page.pages
    assert float(only.mediabox.height) == pytest.approx(841.89)
    text, impression = _text(page), impression_of(collate(study), LANGUAGES[name])
    assert [line for line in impression.films[0].lines if _joined(line) not in text] == []
    assert _joined(impression.notice) in text
    assert _joined(LANGUAGES[name].phrases.page_more) not in text


@pytest.mark.slow
def test_lines_without_room_are_replaced_by_a_sentence() -> None:
    present = [finding(key, 0.9, Presence.PRESENT) for key in codes.FINDINGS]
    study = [read(films.dx(), *present) for _ in range(9)]
    page = _page(study)

    assert len(page.pages) == 1
    assert _joined(NODE.language.phrases.page_more) in _text(page)
    assert _joined(NODE.language.phrases.caution) in _text(page)


@pytest.mark.slow
def test_equal_films_give_equal_bytes_without_a_time() -> None:
    first, second = (_object([everything(films.dx())]).EncapsulatedDocument for _ in range(2))

    assert first == second
    assert b"Date" not in first
    information = PdfReader(BytesIO(first)).metadata
    assert information is not None
    assert set(information) == {"/Title", "/Producer"}
    assert (information.title, information.producer) == ("Chest radiograph: analysis by computer", "cxr-node 9.9")


def test_every_font_of_the_page_is_embedded() -> None:
    page = _page([everything(films.dx(changes={"PatientName": "Łukasz^Jan=简单"}))]).pages[0]
    resources = page["/Resources"]
    assert isinstance(resources, DictionaryObject)
    fonts = resources["/Font"]

    assert isinstance(fonts, DictionaryObject)
    assert set(fonts) == {"/jp", "/sc", "/letters"}
    for font in fonts.values():
        (descendant,) = font["/DescendantFonts"]
        embedded = descendant["/FontDescriptor"]["/FontFile2"].get_data()
        assert TTFont(BytesIO(embedded))["maxp"].numGlyphs > 400
    assert "ŁukaszJan(简单)" in _joined(page.extract_text())


def test_a_name_without_letters_in_the_fonts_keeps_its_other_groups() -> None:
    name = "Hong^Gildong=洪^吉洞=홍^길동"
    text = _text(_page([everything(films.dx(changes={"PatientName": name, "SpecificCharacterSet": "ISO_IR 192"}))]))

    assert "HongGildong(洪吉洞)" in text
    assert "?" not in text


@pytest.mark.slow
def test_a_later_page_names_the_earlier_one() -> None:
    first = composed(ENCAPSULATED_PDF, [everything(films.dx())])
    second = parsed(
        composed(ENCAPSULATED_PDF, [everything(films.dx()), everything(films.cr())], earlier=[previous(first)])
    )

    (study,) = second.PredecessorDocumentsSequence
    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == first.identity.sop_instance_uid
    assert len(second.SourceInstanceSequence) == 2


@pytest.mark.slow
def test_dcm2pdf_gives_the_page_back(tmp_path: Path) -> None:
    instance = composed(ENCAPSULATED_PDF, [everything(films.dx())], observer=_named("ja"))
    path, page = tmp_path / "page.dcm", tmp_path / "page.pdf"
    path.write_bytes(instance.content)

    assert iod_errors(path) == []
    assert run(peers.program("dcm2pdf"), path, page).returncode == 0
    document = parsed(instance)
    assert page.read_bytes() == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]


@pytest.mark.slow
@pytest.mark.parametrize("face", FILES)
def test_a_subset_has_the_outlines_of_its_glyphs_and_their_parts(face: str) -> None:
    font = font_of(face)
    original = TTFont(BytesIO(content(face)))
    assert {code: original.getGlyphID(name) for code, name in original.getBestCmap().items()} == font.glyphs
    assert [original["hmtx"][name][0] for name in original.getGlyphOrder()] == list(font.widths)

    used = [font.glyphs[ord(letter)] for letter in ("ǟΆё" if face == "letters" else "aÄg。")]
    reduced = TTFont(BytesIO(_with_character_map(subset(font, used), content(face))))
    for glyph in used:
        name = original.getGlyphName(glyph)
        assert _drawn(reduced, reduced.getGlyphOrder()[glyph]) == _drawn(original, name)
    assert len(subset(font, used)) < len(content(face)) / 3


def _drawn(font: TTFont, name: str) -> object:
    """Return the points of a glyph, with those of its components."""
    coordinates, ends, _ = font["glyf"][name].getCoordinates(font["glyf"])
    return list(coordinates), list(ends)


def _with_character_map(embedded: bytes, original: bytes) -> bytes:
    """Return an embedded font with the names of the original's glyphs, which fontTools requires."""
    font = TTFont(BytesIO(embedded))
    font.setGlyphOrder(TTFont(BytesIO(original)).getGlyphOrder())
    target = BytesIO()
    font.save(target)
    return target.getvalue()


def test_a_font_of_another_kind_is_refused() -> None:
    other = content("letters").replace(b"\x03\xe8", b"\x08\x00", 1)

    with pytest.raises(ValueError, match="units per em"):
        parse(other)
