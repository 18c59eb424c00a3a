"""A content tree made a document: the header around it (PS3.3 section A.35), and its bytes.

The header is written here and not by highdicom, whose document classes read the clock themselves, name
the patient in log lines, and raise on headers that modalities do send (decision record 0030).
"""

from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.header import ResultType, header, identity_of
from cxr_node.report.header.part10 import instance_of, spliced
from cxr_node.report.header.patient_study import requests
from cxr_node.report.header.references import Reference, hierarchy
from cxr_node.report.languages.translate import translate
from cxr_node.report.source import Film, Observer, PreviousReport
from cxr_node.report.sr.content import ContentItem

_INCOMPLETE = frozenset({Reason.MODEL_ERROR, Reason.TIMEOUT})
"""Reasons for which the same film could have been read: the document says less than was planned."""


def document(
    root: ContentItem,
    films: Sequence[Film],
    *,
    kind: ResultType,
    node: Observer,
    now: datetime,
    previous: Sequence[PreviousReport] = (),
    instance_number: int,
) -> Instance:
    """Return `root` as a report or selection on `films`, which have safe headers and are of one study.

    `root` is put into the node's language.

    Parameters
    ----------
    now
        Aware; see `header`.

    Raises
    ------
    GiveUp
        RESULT: the document breaks a promise of `check`.
    """
    translate(node.speaks, root)
    tree = encoded(root)
    identity = identity_of(films, kind=kind, content=digest_of(tree), node=node)
    dataset = header(films, identity, kind=kind, node=node, now=now, instance_number=instance_number)
    _add_evidence(dataset, films)
    if kind.modality == "SR":
        _add_document_general(dataset, films)
    if previous:
        dataset.PredecessorDocumentsSequence = hierarchy(_reference(one) for one in previous)
    body = spliced(dataset, root, tree)
    dataset.update(root)
    require_sound(dataset, films)
    return instance_of(body, identity)


def _add_evidence(dataset: Dataset, films: Sequence[Film]) -> None:
    """Add what a document was made from and for: its sources, its orders, and no procedure step of its own."""
    dataset.CurrentRequestedProcedureEvidenceSequence = hierarchy(_reference(film.reading.film) for film in films)
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.CodingSchemeIdentificationSequence = [_private_scheme()]
    orders = requests(films[0].header, dataset.StudyInstanceUID)
    if orders:
        dataset.ReferencedRequestSequence = orders


def _add_document_general(dataset: Dataset, films: Sequence[Film]) -> None:
    incomplete = any(film.reading.not_analysed in _INCOMPLETE for film in films)
    dataset.CompletionFlag = "PARTIAL" if incomplete else "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.PerformedProcedureCodeSequence = []


def _reference(one: Identity | PreviousReport) -> Reference:
    return one.study_instance_uid, one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid


def _private_scheme() -> Dataset:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    scheme.CodingSchemeName = "Concepts of cxr-node"
    scheme.CodingSchemeVersion = "1"
    scheme.CodingSchemeResponsibleOrganization = "cxr-node developers"
    return scheme
