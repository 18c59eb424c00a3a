"""Audit of looks at identifiers of films: searches by them, and studies that they were shown of."""

from collections.abc import Iterable, Mapping

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from cxr_node.audit import events
from cxr_node.audit.subject import StudySubject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND
from cxr_node.wiring.audit import Audit

KEYWORDS = {
    "accession_number": "AccessionNumber",
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
}
"""Identifiers by column, as the standard names them."""

_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")


def record_search(audit: Audit, matching: Mapping[str, str], *, by: str, address: str = "") -> None:
    """Record a search for films whose identifiers have these values, by column; without any, a look at all of them."""
    identifier = Dataset()
    for keyword, value in {"SpecificCharacterSet": "ISO_IR 192", "QueryRetrieveLevel": "STUDY"}.items():
        _add(identifier, keyword, value)
    for column, value in matching.items():
        _add(identifier, KEYWORDS[column], value.replace("-", "") if column == "study_date" else value)
    audit.record(
        events.searched(
            STUDY_ROOT_FIND,
            encode(identifier, is_implicit_vr=False, is_little_endian=True) or b"",
            _EXPLICIT_VR_LITTLE_ENDIAN,
            by=by,
            address=address,
            on=audit.application,
            at=audit.clock(),
        )
    )


def record_shown(audit: Audit, studies: Iterable[StudySubject], *, by: str, address: str = "") -> None:
    """Record that identifiers of these studies were shown to a person."""
    for study in studies:
        audit.record(events.accessed(study, by=by, address=address, on=audit.application, at=audit.clock()))


def _add(identifier: Dataset, keyword: str, value: str) -> None:
    """Add an attribute, also with a value that its VR does not permit: pydicom would warn of it and quote it."""
    tag = tag_for_keyword(keyword)
    if tag is not None:
        identifier.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
