"""The plainest result: findings as sentences (TID 2000) in Basic Text SR, which nearly every viewer shows."""

from collections.abc import Sequence
from datetime import datetime

from pydicom.uid import BasicTextSRStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.report import codes
from cxr_node.report.header.header import ResultType
from cxr_node.report.source import Film, Observer, PreviousReport
from cxr_node.report.sr.content import ContentItem, Relationship, container, image, text
from cxr_node.report.sr.context import observation_context
from cxr_node.report.sr.document import document
from cxr_node.report.study import brought_together
from cxr_node.report.summary import paragraph, sentences

BASIC_TEXT = ResultType(
    name="TID2000",
    sop_class_uid=Uid(BasicTextSRStorage),
    modality="SR",
    series_offset=2,
    series_description="AI CXR text - RESEARCH",
)


def compose(
    films: Sequence[Film],
    *,
    node: Observer,
    now: datetime,
    previous: Sequence[PreviousReport] = (),
    instance_number: int = 1,
) -> Instance:
    """Return the report on all films of a study as text; parameters and errors as of `tid1500.compose`."""
    together = brought_together(films)
    return document(
        content(together, node),
        together,
        kind=BASIC_TEXT,
        node=node,
        now=now,
        previous=previous,
        instance_number=instance_number,
    )


def content(films: Sequence[Film], node: Observer) -> ContentItem:
    """Return the content tree on films with safe headers."""
    findings = [
        text(codes.FINDING, sentence, Relationship.CONTAINS, _from(film))
        for film in films
        for sentence in _said(film, node)
    ]
    summary = text(codes.SUMMARY_SECTION, paragraph([film.reading for film in films], node.speaks))
    return container(
        codes.X_RAY_REPORT,
        *observation_context(node),
        container(codes.SUMMARY_SECTION, text(codes.SUMMARY_SECTION, node.speaks.sentences.caution), summary),
        container(codes.FINDINGS_SECTION, *findings),
        relationship=None,
        template="2000",
    )


def _said(film: Film, node: Observer) -> list[str]:
    return sentences(film.reading, node.speaks) or [node.speaks.sentences.nothing_looked_for]


def _from(film: Film) -> ContentItem:
    return image(codes.SOURCE_OF_MEASUREMENT, film.reading.film, Relationship.INFERRED_FROM)
