"""What every result object has in front of its content: whose it is, what made it, when, and its UIDs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity
from cxr_node.report.header.character_sets import UNICODE
from cxr_node.report.header.elements import verbatim
from cxr_node.report.header.equipment import contributing_equipment
from cxr_node.report.header.patient_study import copy_patient_and_study
from cxr_node.report.header.uids import series_instance_uid, sop_instance_uid
from cxr_node.report.source import Film, Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultType:
    """A kind of result: its SOP Class and modality, what names its series, where that stands among the node's."""

    name: str
    sop_class_uid: Uid
    modality: str
    series_offset: int
    series_description: str


def identity_of(films: Sequence[Film], *, kind: ResultType, content: Digest, node: Observer) -> Identity:
    """Return who a result is: its UIDs follow from sources, kind, models, software and content."""
    readings = [film.reading for film in films]
    study_instance_uid = readings[0].film.study_instance_uid
    return Identity(
        sop_class_uid=kind.sop_class_uid,
        sop_instance_uid=sop_instance_uid(readings, kind.name, node, content),
        series_instance_uid=series_instance_uid(study_instance_uid, kind.name, node),
        study_instance_uid=study_instance_uid,
        patient_key=readings[0].film.patient_key,
    )


def header(
    films: Sequence[Film], identity: Identity, *, kind: ResultType, node: Observer, now: datetime, instance_number: int
) -> Dataset:
    """Return a data set with the modules on patient, study, series, equipment and SOP instance.

    Parameters
    ----------
    films
        The sources, with safe headers; the first one's patient and study are copied.
    now
        Aware. It becomes Instance Creation and Content Date and Time, in the source's Timezone Offset
        From UTC, which governs every time of the object, or in the node's zone where the source has none.
    """
    dataset = Dataset()
    copy_patient_and_study(films[0].header, dataset)
    _add_sop_common(dataset, identity)
    _add_series_and_equipment(dataset, kind, node)
    _add_times(dataset, now, node)
    dataset.InstanceNumber = instance_number
    equipment = contributing_equipment(films[0].header, [film.reading for film in films])
    if equipment:
        dataset.ContributingEquipmentSequence = equipment
    return dataset


def _add_sop_common(dataset: Dataset, identity: Identity) -> None:
    dataset.SpecificCharacterSet = UNICODE
    dataset.SOPClassUID = identity.sop_class_uid
    dataset.SOPInstanceUID = identity.sop_instance_uid
    dataset.SeriesInstanceUID = identity.series_instance_uid
    dataset.add(verbatim("StudyInstanceUID", identity.study_instance_uid))
    dataset.ContentQualification = "RESEARCH"


def _add_series_and_equipment(dataset: Dataset, kind: ResultType, node: Observer) -> None:
    dataset.Modality = kind.modality
    dataset.SeriesNumber = node.first_series_number + kind.series_offset
    dataset.SeriesDescription = kind.series_description
    dataset.Manufacturer = node.manufacturer
    dataset.ManufacturerModelName = node.model_name
    dataset.DeviceSerialNumber = node.serial_number
    dataset.SoftwareVersions = node.software_version


def _add_times(dataset: Dataset, now: datetime, node: Observer) -> None:
    local = now.astimezone(_zone(dataset.get("TimezoneOffsetFromUTC", ""), node.time_zone))
    dataset.InstanceCreationDate = dataset.ContentDate = local.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = local.strftime("%H%M%S.%f")


def _zone(offset: str, default: tzinfo) -> tzinfo:
    if not offset:
        return default
    distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    return timezone(-distance if offset[0] == "-" else distance)
