"""Header of every result object: patient, study, series, equipment, times and UIDs."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Identity
from cxr_node.report.header.character_sets import UNICODE
from cxr_node.report.header.elements import verbatim
from cxr_node.report.header.equipment import contributing_equipment
from cxr_node.report.header.patient_study import copy_patient_and_study
from cxr_node.report.header.uids import series_instance_uid, sop_instance_uid
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm


def identity_of(
    films: Sequence[ReportedFilm], result_type: ResultType, observer: Observer, *, content: Digest
) -> Identity:
    """Return a result's UIDs, which follow from sources, type, models, software and content."""
    readings = [film.reading for film in films]
    study_instance_uid = readings[0].film.study_instance_uid
    return Identity(
        sop_class_uid=result_type.sop_class_uid,
        sop_instance_uid=sop_instance_uid(
            readings,
            result_type.name,
            observer,
            content,
            corrections=[film.correction for film in films if film.correction],
        ),
        series_instance_uid=series_instance_uid(study_instance_uid, result_type.name, observer),
        study_instance_uid=study_instance_uid,
        patient_key=readings[0].film.patient_key,
    )


def header(
    films: Sequence[ReportedFilm],
    identity: Identity,
    result_type: ResultType,
    request: ComposeRequest,
    instance_number: int,
) -> Dataset:
    """Return a data set with the modules on patient, study, series, equipment and SOP instance.

    The request's `now` becomes Instance Creation and Content Date and Time, and that of the first result of the series
    becomes Series Date and Time. They are written in the source's Timezone Offset From UTC, which governs every time of
    the object, or in the observer's zone where the source has none.

    Parameters
    ----------
    films
        The sources, with safe headers; patient and study are copied from the first.
    """
    dataset = Dataset()
    copy_patient_and_study(films[0].header, dataset)
    _add_sop_common(dataset, identity)
    _add_series_and_equipment(dataset, result_type, request.observer)
    _add_times(dataset, request, identity)
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


def _add_series_and_equipment(dataset: Dataset, result_type: ResultType, observer: Observer) -> None:
    dataset.Modality = result_type.modality
    dataset.SeriesNumber = observer.first_series_number + result_type.series_offset
    dataset.SeriesDescription = result_type.series_description
    dataset.Manufacturer = observer.manufacturer
    dataset.ManufacturerModelName = observer.model_name
    dataset.DeviceSerialNumber = observer.serial_number
    dataset.SoftwareVersions = observer.software_version


def _add_times(dataset: Dataset, request: ComposeRequest, identity: Identity) -> None:
    zone = _zone(dataset.get("TimezoneOffsetFromUTC", ""), request.observer.time_zone)
    of_series = [one for one in request.earlier if one.series_instance_uid == identity.series_instance_uid]
    started = min((one.composed_at for one in of_series), default=request.now)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = _date_and_time(request.now, zone)
    dataset.ContentDate, dataset.ContentTime = _date_and_time(request.now, zone)
    dataset.SeriesDate, dataset.SeriesTime = _date_and_time(started, zone)


def _date_and_time(moment: datetime, zone: tzinfo) -> tuple[str, str]:
    local = moment.astimezone(zone)
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")


def _zone(offset: str, default: tzinfo) -> tzinfo:
    if not offset:
        return default
    difference = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    return timezone(-difference if offset[0] == "-" else difference)
