"""SR and Key Object documents: a content tree with its header (PS3.3 section A.35), encoded.

The header is our own. The document classes of highdicom read the clock, name the patient in log lines, and raise on
headers that modalities do send (decision 0030).
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import item, keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of, spliced
from cxr_node.report.header.patient_study import requests
from cxr_node.report.header.references import Reference, hierarchy
from cxr_node.report.result_type import ContentRule, ResultType
from cxr_node.report.source import ComposeRequest, PreviousReport, ReportedFilm
from cxr_node.report.sr.content import ContentItem
from cxr_node.report.sr.rules import caution_faults
from cxr_node.report.sr.translate import translate
from cxr_node.report.sr.tree import items

_INCOMPLETE = frozenset({Reason.MODEL_ERROR, Reason.TIMEOUT, Reason.DAMAGED})
"""Reasons that do not lie in the film: the document says less than was planned."""

DOCUMENT_TYPE_1 = keywords("""
    ContentDate ContentTime CurrentRequestedProcedureEvidenceSequence ValueType ConceptNameCodeSequence
    ContinuityOfContent ContentSequence
""")
"""Type 1 attributes of SR and Key Object documents: PS3.3 C.17.2, C.17.6.2."""

DOCUMENT_TYPE_2 = ("ReferencedPerformedProcedureStepSequence",)


def sr_type(
    *,
    name: str,
    sop_class_uid: UID,
    series_offset: int,
    series_description: str,
    content_rules: tuple[ContentRule, ...] = (caution_faults,),
    referred_as: Code | None = None,
) -> ResultType:
    """Return the type of a Structured Report: Modality SR, with the SR Document General module."""
    return ResultType(
        name=name,
        sop_class_uid=Uid(sop_class_uid),
        modality="SR",
        series_offset=series_offset,
        series_description=series_description,
        type_1=(*DOCUMENT_TYPE_1, "CompletionFlag", "VerificationFlag"),
        type_2=(*DOCUMENT_TYPE_2, "PerformedProcedureCodeSequence"),
        flags={"VerificationFlag": "UNVERIFIED"},
        content_rules=content_rules,
        referred_as=referred_as,
    )


def document(
    root: ContentItem,
    films: Sequence[ReportedFilm],
    result_type: ResultType,
    request: ComposeRequest,
    instance_number: int,
) -> Instance:
    """Return `root` as a report or selection on `films`, which have safe headers and are of one study.

    `root` is translated into the observer's language. A report names the newest of the request's earlier ones. Films
    and those of the request's results that `root` refers to are its evidence; prior films and their reports, which are
    of other studies, are other evidence.

    Raises
    ------
    GiveUp
        RESULT: the document fails `check`.
    """
    translate(request.observer.language, root)
    tree = encoded(root)
    identity = identity_of(films, result_type, request.observer, content=digest_of(tree))
    dataset = header(films, identity, result_type, request, instance_number)
    named = _named(root, request, films)
    referred = [one.instance.identity for one in request.results if one.instance.identity.sop_instance_uid in named]
    priors = [one for one in _priors(films) if one.sop_instance_uid in named]
    _add_evidence(dataset, films, referred, priors)
    if result_type.modality == "SR":
        _add_document_general(dataset, films)
        predecessors = request.earlier or request.replaced
        if predecessors:
            dataset.PredecessorDocumentsSequence = hierarchy([_reference(predecessors[-1])])
    body = spliced(dataset, root, tree)
    dataset.update(root)
    require_sound(dataset, films, result_type, [*referred, *priors])
    return instance_of(body, identity)


def _named(root: ContentItem, request: ComposeRequest, films: Sequence[ReportedFilm]) -> set[str]:
    """Return the UIDs of the objects that a tree refers to; most trees refer to nothing but their films."""
    if not request.results and not any(film.comparison for film in films):
        return set()
    references = [item.ReferencedSOPSequence[0] for _, item in items(root) if "ReferencedSOPSequence" in item]
    return {str(reference.ReferencedSOPInstanceUID) for reference in references}


def _priors(films: Sequence[ReportedFilm]) -> list[Identity]:
    """Return the prior films, and the reports on them."""
    comparisons = [film.comparison for film in films if film.comparison is not None]
    return [one for compared in comparisons for one in (compared.prior, compared.prior_report) if one is not None]


def _add_evidence(
    dataset: Dataset, films: Sequence[ReportedFilm], referred: Sequence[Identity], priors: Sequence[Identity]
) -> None:
    """Add the source films, other results, priors and the orders of a document, which has no procedure step."""
    evidence = [*(film.reading.film for film in films), *referred]
    dataset.CurrentRequestedProcedureEvidenceSequence = hierarchy(map(_reference, evidence))
    if priors:
        dataset.PertinentOtherEvidenceSequence = hierarchy(map(_reference, priors))
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.CodingSchemeIdentificationSequence = [_private_scheme()]
    orders = requests(films[0].header, dataset.StudyInstanceUID)
    if orders:
        dataset.ReferencedRequestSequence = orders


def _add_document_general(dataset: Dataset, films: Sequence[ReportedFilm]) -> None:
    incomplete = any(_is_incomplete(film.reading) for film in films)
    dataset.CompletionFlag = "PARTIAL" if incomplete else "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.PerformedProcedureCodeSequence = []


def _is_incomplete(reading: Reading) -> bool:
    return reading.not_analysed in _INCOMPLETE or bool(reading.prediction and reading.prediction.failed_steps)


def _reference(instance: Identity | PreviousReport) -> Reference:
    series = instance.study_instance_uid, instance.series_instance_uid
    return (*series, instance.sop_class_uid, instance.sop_instance_uid)


def _private_scheme() -> Dataset:
    return item(
        CodingSchemeDesignator=codes.PRIVATE_SCHEME,
        CodingSchemeName="Concepts of cxr-node",
        CodingSchemeUID=codes.PRIVATE_SCHEME_UID,
        CodingSchemeVersion="2",
        CodingSchemeResponsibleOrganization="cxr-node developers",
    )
