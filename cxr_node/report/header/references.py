"""Hierarchical references to instances, by study and series (PS3.3 table C.17-3)."""

from collections.abc import Iterable

from pydicom.dataset import Dataset

from cxr_node.report.header.elements import item, verbatim

Reference = tuple[str, str, str, str]
"""Study Instance UID, Series Instance UID, SOP Class UID, SOP Instance UID."""


def hierarchy(references: Iterable[Reference]) -> list[Dataset]:
    """Return an item per study, with an item per series, with an item per instance, each once and sorted."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for study, series, sop_class, sop_instance in sorted(set(references)):
        studies.setdefault(study, {}).setdefault(series, []).append(instance_reference(sop_class, sop_instance))
    return [_study(study, series) for study, series in studies.items()]


def _study(study_instance_uid: str, series: dict[str, list[Dataset]]) -> Dataset:
    study = item(
        ReferencedSeriesSequence=[
            series_item(uid, ReferencedSOPSequence=instances) for uid, instances in series.items()
        ]
    )
    study.add(verbatim("StudyInstanceUID", study_instance_uid))
    return study


def series_item(series_instance_uid: str, **values: object) -> Dataset:
    """Return an item that references a series."""
    series = item(**values)
    series.add(verbatim("SeriesInstanceUID", series_instance_uid))
    return series


def instance_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return an item that references an instance (PS3.3 table 10-11)."""
    reference = item(ReferencedSOPClassUID=sop_class_uid)
    reference.add(verbatim("ReferencedSOPInstanceUID", sop_instance_uid))
    return reference
