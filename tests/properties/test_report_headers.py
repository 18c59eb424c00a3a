"""Reports of films with arbitrary header bytes keep the film's identity."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from cxr_node.domain.reasons import Reason
from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.kinds import tid1500
from cxr_node.report.sr.tree import lines
from tests.support import films
from tests.unit.report.studies import composed, not_read

_SENT = [
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "PatientComments",
    "OtherPatientNames",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "SoftwareVersions",
    "TimezoneOffsetFromUTC",
    "Modality",
    "PregnancyStatus",
    "OtherPatientIDsSequence",
    "RequestAttributesSequence",
]
_BYTES = st.binary(max_size=40) | st.sampled_from(
    [b"\x1b$B;3ED", b"a\\b\\c", b"^=^=", b"\x1b", b"\xff\xfe", b"20240101"]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(sent=st.dictionaries(st.sampled_from(_SENT), _BYTES, max_size=8), implicit=st.booleans())
def test_any_header_makes_a_report_that_a_peer_can_read(sent: dict[str, bytes], implicit: bool) -> None:
    film = films.cr(rows=4, columns=4)
    for keyword, value in sent.items():
        tag = Tag(keyword)
        film[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, implicit, True)
    instance = composed(tid1500.REPORT, [not_read(film, Reason.VIEW)])
    report = dcmread(BytesIO(instance.content))
    safe = safe_header(film)
    assert report.StudyInstanceUID == film.StudyInstanceUID
    assert report["PatientID"].value == safe["PatientID"].value
    assert str(report["PatientName"].value) == str(safe["PatientName"].value)
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert lines(report)
