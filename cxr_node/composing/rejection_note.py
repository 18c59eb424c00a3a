"""Rejection note: a Key Object Selection (TID 2010) that withdraws results of this node (IHE RAD TF IOCM).

It is filed where the results are: under the patient and study that their own files state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.domain.rejection_titles import NOTE_KIND, RejectionTitle
from cxr_node.records.results import Result
from cxr_node.report import codes
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm, header_of
from cxr_node.report.sr.content import ContentItem, container, image, text
from cxr_node.report.sr.context import observer_context
from cxr_node.report.sr.document import DOCUMENT_TYPE_1, DOCUMENT_TYPE_2, document

NOTE_TYPE = ResultType(
    name=NOTE_KIND,
    sop_class_uid=Uid(KeyObjectSelectionDocumentStorage),
    modality="KO",
    series_offset=59,
    series_description="AI CXR rejection note - RESEARCH",
    type_1=DOCUMENT_TYPE_1,
    type_2=DOCUMENT_TYPE_2,
)
_IMAGES = frozenset(kind.result_type.sop_class_uid for kind in RESULT_KINDS if kind.result_type.is_image)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRequest:
    """Results of one patient and study to withdraw at a time; `number` counts the notes of the study.

    `detail` says why, without a value of the patient's.
    """

    results: Sequence[Result]
    title: RejectionTitle
    detail: str
    at: datetime
    number: int


def compose_note(context: ComposeContext, request: NoteRequest) -> Instance:
    """Return the rejection note of results: made again of the same, it is the same instance, byte for byte."""
    observer = replace(context.observer, language=ENGLISH)  # the meanings of the standard
    header = _header(context, request.results)
    rejected = [_as_source(result.identity, header) for result in request.results]
    root = container(
        request.title.code,
        *observer_context(observer),
        text(codes.KEY_OBJECT_DESCRIPTION, request.detail),
        *(_reference(result.identity) for result in request.results),
        relationship=None,
        template="2010",
    )
    composing = ComposeRequest(films=rejected, load_film=lambda _: None, observer=observer, now=request.at)
    return document(root, rejected, NOTE_TYPE, composing, request.number)


def _reference(result: Identity) -> ContentItem:
    item = image(None, result)
    if result.sop_class_uid not in _IMAGES:
        item.ValueType = "COMPOSITE"
    return item


def _as_source(result: Identity, header: Dataset) -> ReportedFilm:
    """Return a result as the source of its note, which has patient and study of the header."""
    reading = Reading(
        film=result, geometry=None, grayscale="", prediction=None, not_analysed=Reason.DISMISSED, detail=""
    )
    return ReportedFilm(header=header, reading=reading)


def _header(context: ComposeContext, results: Sequence[Result]) -> Dataset:
    """Return patient and study of results; the study alone, with an unknown patient, if no file of theirs is intact."""
    for result in reversed(results):
        try:
            header: Dataset = dcmread(BytesIO(read_intact(context.archive, result)), stop_before_pixels=True)
        except Damaged:
            continue
        if "ReferencedRequestSequence" in header:  # of a document: the orders, as a film has them
            header.RequestAttributesSequence = header.ReferencedRequestSequence
        return header
    unknown = header_of(results[0].identity)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
        setattr(unknown, keyword, "")
    unknown.ReferringPhysicianName = unknown.StudyID = unknown.AccessionNumber = ""
    return unknown
