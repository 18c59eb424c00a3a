"""Page of a study: impression, pictures, measurements and versions, in the language of the results. Pure.

The page has no time of its own, so equal films give an equal page. Of the patient it has name, ID, birth date and sex,
which its header has too: a printed page has no header.
"""

import re
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from cxr_node.report import codes
from cxr_node.report.impression import Impression, failure, impression_of, named
from cxr_node.report.labels import measurement_label
from cxr_node.report.languages.language import Language
from cxr_node.report.pages.blocks import CAUTION, QUIET, Block, Content, Picture, Rule, Ruler, lay_out
from cxr_node.report.pages.pdf import Page
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.typeface import Typeface, typeface_of
from cxr_node.report.source import Observer, ReportedFilm

_TITLE, _TEXT, _SMALL = 15, 10, 7.5
_MEASURED = tuple(dict.fromkeys((*codes.MEASUREMENTS, *overlay.CALIPERS, *overlay.ANGLES)))
"""Keys of the measurements on the page; the report of measurements has all."""


def page_of(films: Sequence[ReportedFilm], observer: Observer, pictures: Sequence[Picture]) -> bytes:
    """Return the page as a PDF file, of films with safe headers and of one study."""
    language = observer.language
    typeface = typeface_of(language)
    impression = impression_of(films, language)

    def content_at(ruler: Ruler) -> Content:
        return Content(
            head=_head(films[0].header, impression, language, ruler),
            body=list(_body(films, impression, ruler)),
            measurements=list(_measurements(films, impression, language, ruler)),
            foot=_foot(films, observer, impression, ruler),
        )

    page = Page(typeface=typeface)
    lay_out(page, content_at, typeface, pictures, language.phrases.page_more)
    return page.finished(
        title=language.phrases.page_title,
        language=language.code.value,
        producer=f"{observer.model_name} {observer.software_version}",
    )


def _head(header: Dataset, impression: Impression, language: Language, ruler: Ruler) -> list[Block]:
    phrases, name = language.phrases, str(header.get("PatientName") or "")
    cells = (
        (phrases.page_patient, _name(name, ruler.typeface)),
        (phrases.page_patient_id, _text(header, "PatientID")),
        (phrases.page_birth_date, _date(_text(header, "PatientBirthDate"))),
        (phrases.page_sex, _text(header, "PatientSex")),
        (phrases.page_study_date, _date(_text(header, "StudyDate"))),
        (phrases.page_accession_number, _text(header, "AccessionNumber")),
    )
    return [
        ruler.paragraph(impression.headline, _TITLE, bold=True, after=0.4),
        Rule(),
        ruler.columns([(label, text or "–") for label, text in cells], _TEXT, 3),
        Rule(),
    ]


def _body(films: Sequence[ReportedFilm], impression: Impression, ruler: Ruler) -> Iterator[Block]:
    for film, words in zip(films, impression.films, strict=True):
        if words.label:
            yield ruler.paragraph(words.heading, _TEXT, bold=True)
        for (number, finding, color), line in zip(overlay.numbered_findings(film.reading), words.findings, strict=True):
            yield ruler.finding(line, _TEXT, number, finding, color)
        for line in words.statements:
            yield ruler.paragraph(line, _TEXT)
        prediction = film.reading.prediction
        failures = [failure(step) for step in prediction.failed_steps] if prediction else []
        for line in (*words.remarks, *failures):
            yield ruler.paragraph(line, _TEXT - 1, QUIET)
        yield ruler.paragraph("", _TEXT, after=0.6)


def _measurements(
    films: Sequence[ReportedFilm], impression: Impression, language: Language, ruler: Ruler
) -> Iterator[Block]:
    for film, words in zip(films, impression.films, strict=True):
        by_key = {one.key: one for one in film.reading.measurements}
        labels = [measurement_label(by_key[key], film.reading, language) for key in _MEASURED if key in by_key]
        if labels:
            yield ruler.paragraph(words.label + language.phrases.page_measurements, _TEXT, bold=True)
            yield ruler.columns([("", label) for label in labels], _TEXT - 1, 2)


def _foot(films: Sequence[ReportedFilm], observer: Observer, impression: Impression, ruler: Ruler) -> list[Block]:
    language = observer.language
    node = f"{observer.model_name} {observer.software_version} ({observer.name})"
    predictions = [film.reading.prediction for film in films if film.reading.prediction is not None]
    models = dict.fromkeys(
        f"{named(model)}{language.phrases.places.format(places=f'SHA-256 {model.weights_digest}')}"
        for prediction in predictions
        for model in prediction.models
    )
    listed = language.phrases.models.format(models=language.phrases.list_separator.join(models)) if models else ""
    versions = language.phrases.sentence_separator.join(filter(None, (f"{node}.", listed)))
    return [
        Rule(),
        ruler.paragraph(versions, _SMALL, QUIET),
        ruler.paragraph(impression.notice, _TEXT, CAUTION, bold=True, after=0),
    ]


def _name(name: str, typeface: Typeface) -> str:
    """Return the component groups of a Person Name that the fonts have, the first even if they do not."""
    groups = [re.sub(r"\s+", " ", group.replace("^", " ")).strip() for group in name.split("=")]
    known = [group for group in groups if group and typeface.covers(group)]
    first, *others = known or [next(filter(None, groups), "")]
    return f"{first} ({', '.join(others)})" if others else first


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 else text


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()
