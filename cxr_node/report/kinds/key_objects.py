"""Key Object Selection (TID 2010) of a film with findings, which a reader should open first: one per film.

A selection has no predecessors, so a later one of the same film could not replace it. It states nothing that another
film of the study changes: no number, and the impression of its own film only.
"""

from dataclasses import replace

from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Presence
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.kind import film_kind
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, container, image, text
from cxr_node.report.sr.context import language_of, observer_context
from cxr_node.report.sr.document import DOCUMENT_TYPE_1, DOCUMENT_TYPE_2, document
from cxr_node.report.sr.rules import caution_faults
from cxr_node.report.study import collate

_TYPE = ResultType(
    name="KO",
    sop_class_uid=Uid(KeyObjectSelectionDocumentStorage),
    modality="KO",
    series_offset=39,
    series_description="AI CXR key images - RESEARCH",
    type_1=DOCUMENT_TYPE_1,
    type_2=DOCUMENT_TYPE_2,
    content_rules=(caution_faults,),
    referred_as=codes.KEY_OBJECT_SELECTION,
)


def compose_film(film: ReportedFilm, request: ComposeRequest, instance_number: int) -> Instance | None:
    """Return the selection of a film, or None where no finding is present or undetermined."""
    if not _has_finding(film):
        return None
    films = collate([replace(film, number=0)])
    return document(content(films[0], request.observer), films, _TYPE, request, instance_number)


def content(film: ReportedFilm, observer: Observer) -> ContentItem:
    """Return the content tree on a film with a safe header."""
    language = observer.language
    impression = impression_of([film], language)
    description = f"{impression.text}\n{impression.notice}"
    return container(
        codes.OF_INTEREST,
        language_of(observer),
        *observer_context(observer),
        text(codes.KEY_OBJECT_DESCRIPTION, description),
        image(None, film.reading.film),
        relationship=None,
        template="2010",
    )


def _has_finding(film: ReportedFilm) -> bool:
    prediction = film.reading.prediction
    return prediction is not None and any(finding.presence is not Presence.ABSENT for finding in prediction.findings)


KEY_IMAGES = film_kind("key-images", _TYPE, compose_film)
