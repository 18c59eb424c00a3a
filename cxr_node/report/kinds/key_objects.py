"""Which films of a study a reader should open first: a Key Object Selection of those with findings."""

from collections.abc import Sequence
from datetime import datetime

from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Presence
from cxr_node.report import codes
from cxr_node.report.header.header import ResultType
from cxr_node.report.source import Film, Observer
from cxr_node.report.sr.content import ContentItem, container, image, text
from cxr_node.report.sr.context import observation_context
from cxr_node.report.sr.document import document
from cxr_node.report.study import brought_together
from cxr_node.report.summary import paragraph

KEY_OBJECTS = ResultType(
    name="KO",
    sop_class_uid=Uid(KeyObjectSelectionDocumentStorage),
    modality="KO",
    series_offset=39,
    series_description="AI CXR key images - RESEARCH",
)


def compose(films: Sequence[Film], *, node: Observer, now: datetime, instance_number: int = 1) -> Instance | None:
    """Return the selection, or None where no film of the study has a finding; errors as of `tid1500.compose`."""
    chosen = [film for film in brought_together(films) if _has_finding(film)]
    if not chosen:
        return None
    root = content(chosen, node)
    return document(root, chosen, kind=KEY_OBJECTS, node=node, now=now, instance_number=instance_number)


def content(films: Sequence[Film], node: Observer) -> ContentItem:
    """Return the content tree (TID 2010)."""
    said = paragraph([film.reading for film in films], node.speaks)
    description = f"{node.speaks.sentences.caution}\n{said}"
    return container(
        codes.OF_INTEREST,
        *observation_context(node)[:-1],  # TID 2010 knows no procedure
        text(codes.KEY_OBJECT_DESCRIPTION, description),
        *(image(codes.SOURCE, film.reading.film) for film in films),
        relationship=None,
        template="2010",
    )


def _has_finding(film: Film) -> bool:
    prediction = film.reading.prediction
    return prediction is not None and any(one.presence is not Presence.ABSENT for one in prediction.findings)
