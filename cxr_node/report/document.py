"""A content tree made a document: the header around it (PS3.3 section A.35), and its bytes.

The header is written here and not by highdicom, whose document classes read the clock themselves, name
the patient in log lines, and raise on headers that modalities do send (decision record 0030).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.character_sets import UNICODE
from cxr_node.report.check import require_sound
from cxr_node.report.content import ContentItem
from cxr_node.report.elements import verbatim
from cxr_node.report.equipment import contributing_equipment
from cxr_node.report.identity import content_digest, series_instance_uid, sop_instance_uid
from cxr_node.report.part10 import instance_of
from cxr_node.report.patient_study import copy_patient_and_study, requests
from cxr_node.report.references import hierarchy
from cxr_node.report.source import Film, Node, PreviousReport

_INCOMPLETE = frozenset({Reason.MODEL_ERROR, Reason.TIMEOUT})
"""Reasons for which the same film could have been read: the document says less than was planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of document: its SOP Class, what names its series, and where that stands among the node's."""

    name: str
    sop_class_uid: Uid
    series_offset: int
    series_description: str


def document(
    root: ContentItem,
    films: Sequence[Film],
    *,
    kind: Kind,
    node: Node,
    now: datetime,
    previous: Sequence[PreviousReport],
    instance_number: int,
) -> Instance:
    """Return `root` as a document on `films`, which have safe headers and are of one study.

    Parameters
    ----------
    now
        Aware. It becomes Instance Creation and Content Date and Time, in the source's Timezone Offset
        From UTC, which governs every time of the object, or in the node's zone where the source has none.

    Raises
    ------
    GiveUp
        RESULT: the document breaks a promise of `check`.
    """
    readings = [film.reading for film in films]
    study_instance_uid = readings[0].film.study_instance_uid
    identity = Identity(
        sop_class_uid=kind.sop_class_uid,
        sop_instance_uid=sop_instance_uid(readings, kind.name, node, content_digest(root)),
        series_instance_uid=series_instance_uid(study_instance_uid, kind.name, node),
        study_instance_uid=study_instance_uid,
        patient_key=readings[0].film.patient_key,
    )
    dataset = Dataset()
    copy_patient_and_study(films[0].header, dataset)
    _add_identity(dataset, identity, instance_number)
    _add_series_and_equipment(dataset, kind, node)
    _add_times(dataset, now, node)
    _add_document_general(dataset, films, previous)
    equipment = contributing_equipment(films[0].header, readings)
    if equipment:
        dataset.ContributingEquipmentSequence = equipment
    dataset.update(root)
    require_sound(dataset, films)
    return instance_of(dataset, identity)


def _add_identity(dataset: Dataset, identity: Identity, instance_number: int) -> None:
    dataset.SpecificCharacterSet = UNICODE
    dataset.SOPClassUID = identity.sop_class_uid
    dataset.SOPInstanceUID = identity.sop_instance_uid
    dataset.SeriesInstanceUID = identity.series_instance_uid
    dataset.add(verbatim("StudyInstanceUID", identity.study_instance_uid))
    dataset.InstanceNumber = instance_number


def _add_series_and_equipment(dataset: Dataset, kind: Kind, node: Node) -> None:
    dataset.Modality = "SR"
    dataset.SeriesNumber = node.first_series_number + kind.series_offset
    dataset.SeriesDescription = kind.series_description
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.Manufacturer = node.manufacturer
    dataset.ManufacturerModelName = node.model_name
    dataset.DeviceSerialNumber = node.serial_number
    dataset.SoftwareVersions = node.software_version


def _add_times(dataset: Dataset, now: datetime, node: Node) -> None:
    local = now.astimezone(_zone(dataset.get("TimezoneOffsetFromUTC", ""), node.time_zone))
    dataset.InstanceCreationDate = dataset.ContentDate = local.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = local.strftime("%H%M%S.%f")


def _zone(offset: str, default: tzinfo) -> tzinfo:
    if not offset:
        return default
    distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    return timezone(-distance if offset[0] == "-" else distance)


def _add_document_general(dataset: Dataset, films: Sequence[Film], previous: Sequence[PreviousReport]) -> None:
    incomplete = any(film.reading.not_analysed in _INCOMPLETE for film in films)
    dataset.CompletionFlag = "PARTIAL" if incomplete else "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.ContentQualification = "RESEARCH"
    dataset.CodingSchemeIdentificationSequence = [_private_scheme()]
    dataset.PerformedProcedureCodeSequence = []
    identities = [film.reading.film for film in films]
    dataset.CurrentRequestedProcedureEvidenceSequence = hierarchy(
        (one.study_instance_uid, one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid) for one in identities
    )
    orders = requests(films[0].header, dataset.StudyInstanceUID)
    if orders:
        dataset.ReferencedRequestSequence = orders
    if previous:
        dataset.PredecessorDocumentsSequence = hierarchy(
            (one.study_instance_uid, one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid)
            for one in previous
        )


def _private_scheme() -> Dataset:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    scheme.CodingSchemeName = "Concepts of cxr-node"
    scheme.CodingSchemeVersion = "1"
    scheme.CodingSchemeResponsibleOrganization = "cxr-node developers"
    return scheme
