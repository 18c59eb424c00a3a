"""Searches by identifiers in the audit trail: the data set that states them."""

from datetime import UTC, datetime
from io import BytesIO

from pydicom import dcmread

from cxr_node.audit.events import Application
from cxr_node.audit.message import AuditMessage
from cxr_node.wiring.audit import Audit
from cxr_node.wiring.identifier_audit import record_search


def test_a_search_is_stated_as_the_identifier_of_a_c_find() -> None:
    recorded: list[AuditMessage] = []
    node = Application(ae_title="CXRNODE", process_id=1, host="node-1")
    audit = Audit(application=node, record=recorded.append, clock=lambda: datetime(2026, 1, 31, tzinfo=UTC))
    matching = {"patient_id": "P 胸1", "accession_number": "A1", "study_date": "2026-01-31", "patient_name": "Doe^Jane"}

    record_search(audit, matching, by="kim")

    (query,) = recorded[0].objects
    assert query.query is not None
    identifier = dcmread(BytesIO(query.query), force=True)
    assert {element.keyword: str(element.value) for element in identifier} == {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyDate": "20260131",
        "AccessionNumber": "A1",
        "QueryRetrieveLevel": "STUDY",
        "PatientName": "Doe^Jane",
        "PatientID": "P 胸1",
    }
    assert len(query.query) % 2 == 0
