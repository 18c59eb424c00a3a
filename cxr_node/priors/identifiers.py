"""Identifiers of the queries and retrievals of prior films (PS3.4 sections C.6.2 and C.4)."""

from pydicom.dataset import Dataset

from cxr_node.domain.prior_search import Candidate, PriorQuery
from cxr_node.priors import selection


def study_identifier(query: PriorQuery, modality: str) -> Dataset:
    """Return the Identifier of the query for the studies of a patient with a modality."""
    identifier = _identifier("STUDY", *selection.STUDY_KEYS, PatientID=query.patient_id, ModalitiesInStudy=modality)
    identifier.IssuerOfPatientID = query.issuer
    identifier.StudyDate = f"{query.earliest}-{query.date}"
    return identifier


def series_identifier(study_instance_uid: str) -> Dataset:
    """Return the Identifier of the query for the series of a study."""
    return _identifier("SERIES", *selection.SERIES_KEYS, StudyInstanceUID=study_instance_uid)


def image_identifier(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    """Return the Identifier of the query for the instances of a series."""
    uids = {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": series_instance_uid}
    return _identifier("IMAGE", *selection.IMAGE_KEYS, **uids)


def instance_identifier(candidate: Candidate) -> Dataset:
    """Return the Identifier of the retrieval of one instance."""
    identifier = _identifier("IMAGE", StudyInstanceUID=candidate.study_instance_uid)
    identifier.SeriesInstanceUID = candidate.series_instance_uid
    identifier.SOPInstanceUID = candidate.sop_instance_uid
    return identifier


def _identifier(level: str, *keys: str, **values: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(identifier, keyword, "")
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    return identifier
