"""Basic Text SR with the findings as sentences (TID 2000), which nearly every viewer shows: one per study.

Viewers write the items of a section one after the other, so the lines of a film are one item. The impression stands
before the observer and the procedure, where a reader sees it first.
"""

from collections.abc import Iterator, Sequence

from pydicom.uid import BasicTextSRStorage

from cxr_node.report import codes
from cxr_node.report.impression import impression_of, named
from cxr_node.report.kinds.kind import document_kind
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, container, image, text
from cxr_node.report.sr.context import language_of, observer_context, procedures_reported
from cxr_node.report.sr.document import sr_type


def content(films: Sequence[ReportedFilm], observer: Observer) -> ContentItem:
    """Return the content tree on films with safe headers: the headline first, the caution last."""
    impression = impression_of(films, observer.language)
    findings = [
        text(codes.FINDING, "\n".join(lines.lines_under_label), Relationship.CONTAINS, _source(film))
        for film, lines in zip(films, impression.films, strict=True)
    ]
    closing = "\n".join([*dict.fromkeys(_models(films)), impression.notice])
    return container(
        codes.X_RAY_REPORT,
        language_of(observer),
        container(codes.SUMMARY_SECTION, text(codes.SUMMARY_SECTION, impression.headline)),
        container(codes.FINDINGS_SECTION, *findings),
        container(codes.SUMMARY_SECTION, text(codes.SUMMARY_SECTION, closing)),
        *observer_context(observer),
        *procedures_reported(films),
        relationship=None,
        template="2000",
        continuous=False,
    )


def _models(films: Sequence[ReportedFilm]) -> Iterator[str]:
    for film in films:
        for model in film.reading.prediction.models if film.reading.prediction else ():
            yield f"{named(model)}, SHA-256 {model.weights_digest}"


def _source(film: ReportedFilm) -> ContentItem:
    return image(codes.SOURCE_OF_MEASUREMENT, film.reading.film, Relationship.INFERRED_FROM)


TEXT = document_kind(
    "text",
    sr_type(
        name="TID2000", sop_class_uid=BasicTextSRStorage, series_offset=2, series_description="AI CXR text - RESEARCH"
    ),
    content,
)
