"""Key Object Selection (TID 2010) of the films with findings, which a reader should open first: one per study."""

from collections.abc import Sequence

from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import Presence
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.kind import document_kind
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, container, image, text
from cxr_node.report.sr.context import language_of, observer_context
from cxr_node.report.sr.document import DOCUMENT_TYPE_1, DOCUMENT_TYPE_2
from cxr_node.report.sr.rules import caution_faults


def content(films: Sequence[ReportedFilm], observer: Observer) -> ContentItem:
    """Return the content tree on films with safe headers."""
    language = observer.language
    impression = impression_of(films, language)
    description = f"{impression.text}\n{impression.notice}"
    return container(
        codes.OF_INTEREST,
        language_of(observer),
        *observer_context(observer),
        text(codes.KEY_OBJECT_DESCRIPTION, description),
        *(image(None, film.reading.film) for film in films),
        relationship=None,
        template="2010",
    )


def _has_finding(film: ReportedFilm) -> bool:
    prediction = film.reading.prediction
    return prediction is not None and any(finding.presence is not Presence.ABSENT for finding in prediction.findings)


KEY_IMAGES = document_kind(
    "key-images",
    ResultType(
        name="KO",
        sop_class_uid=Uid(KeyObjectSelectionDocumentStorage),
        modality="KO",
        series_offset=39,
        series_description="AI CXR key images - RESEARCH",
        type_1=DOCUMENT_TYPE_1,
        type_2=DOCUMENT_TYPE_2,
        content_rules=(caution_faults,),
        referred_as=codes.KEY_OBJECT_SELECTION,
    ),
    content,
    select=_has_finding,
)
