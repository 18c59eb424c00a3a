"""Identities of DICOM objects, read from the columns of their rows."""

from sqlalchemy import RowMapping

from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity


def of_row(columns: RowMapping) -> Identity:
    """Return the identity of an object, from a row that has its UIDs and its patient key under their usual names."""
    return Identity(
        sop_class_uid=Uid(columns["sop_class_uid"]),
        sop_instance_uid=Uid(columns["sop_instance_uid"]),
        series_instance_uid=Uid(columns["series_instance_uid"]),
        study_instance_uid=Uid(columns["study_instance_uid"]),
        patient_key=Digest(columns["patient_key"]),
    )
