"""Store Instances Responses in JSON and XML, and the outcome of reasons and HTTP statuses."""

import json
from datetime import UTC, datetime

import pytest

from cxr_node.deliver.outcome import DeliveryOutcome
from cxr_node.deliver.store_response import Verdict, of_failure_reason, parse_store_response
from cxr_node.deliver.web_outcome import HttpOutcome, of_http_status, retry_after_s
from cxr_node.domain.identifiers import Uid

UID = Uid("1.2.3")
JSON, XML = "application/dicom+json", "application/dicom+xml"
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def item(uid: str, **values: int) -> dict[str, object]:
    """Return an item; a keyword such as x00081197 is a tag."""
    element: dict[str, object] = {tag[1:]: {"vr": "US", "Value": [value]} for tag, value in values.items()}
    return {"00081155": {"vr": "UI", "Value": [uid]}, **element} if uid else element


def body(**sequences: dict[str, object]) -> bytes:
    return json.dumps({tag[1:]: {"vr": "SQ", "Value": [one]} for tag, one in sequences.items()}).encode()


def xml(sequence: str, reason: str = "") -> bytes:
    attribute = f'<DicomAttribute tag="00081197" vr="US"><Value number="1">{reason}</Value></DicomAttribute>'
    return f"""<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
      <DicomAttribute tag="00081190" vr="UR"><Value number="1">http://x</Value></DicomAttribute>
      <DicomAttribute tag="{sequence}" vr="SQ"><Item number="1">
        <DicomAttribute tag="00081155" vr="UI"><Value number="1"> {UID}
        </Value></DicomAttribute>{attribute if reason else ""}
      </Item></DicomAttribute></NativeDicomModel>""".encode()


@pytest.mark.parametrize(
    ("content", "content_type", "verdict"),
    [
        (body(x00081199=item(UID)), JSON, Verdict(is_stored=True)),
        (body(x00081199=item(UID, x00081196=0xB000)), "application/json", Verdict(is_stored=True, reason=0xB000)),
        (b"[" + body(x00081199=item(UID)) + b"]", JSON, Verdict(is_stored=True)),
        (body(x00081198=item(UID, x00081197=272)), JSON, Verdict(is_stored=False, reason=272)),
        (body(x00081198=item("", x00081197=49152)), JSON, Verdict(is_stored=False, reason=49152)),
        (body(x00081198=item("1.2.4", x00081197=272), x00081199=item(UID)), JSON, Verdict(is_stored=True)),
        (body(x00081199=item("1.2.4")), JSON, None),
        (b"{}", JSON, None),
        (xml("00081199"), XML, Verdict(is_stored=True)),
        (xml("00081198", "43265"), XML, Verdict(is_stored=False, reason=43265)),
        (xml("00081190"), "text/xml", None),
    ],
)
def test_the_verdict_is_the_place_of_the_instance(content: bytes, content_type: str, verdict: Verdict | None) -> None:
    response = parse_store_response(content, content_type)

    assert response is not None
    assert response.verdict(UID) == verdict


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", JSON),
        (b"<html></html>", "text/html"),
        (b"<html></html>", XML),
        (b"<NativeDicomModel>", XML),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel>&b;</NativeDicomModel>', XML),
        (b"[" * 100_000, JSON),
        (b'{"00081199": []}', JSON),
        (b'{"00081199": {"Value": [1]}}', JSON),
        (b'{"00081199": {"Value": 7}}', JSON),
        (b'{"00081199": {"Value": [{"00081155": {"Value": null}}]}}', JSON),
    ],
)
def test_anything_else_is_no_store_response(content: bytes, content_type: str) -> None:
    assert parse_store_response(content, content_type) is None


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (272, DeliveryOutcome.RETRY),
        (0xA700, DeliveryOutcome.RETRY),
        (0x0111, DeliveryOutcome.DELIVERED),
        (45070, DeliveryOutcome.DELIVERED),
        (45071, DeliveryOutcome.RETRY),
        (43265, DeliveryOutcome.REJECTED),
        (0xC000, DeliveryOutcome.REJECTED),
        (0xB000, DeliveryOutcome.REJECTED),  # a warning in the Failed SOP Sequence: not stored
        (0, DeliveryOutcome.REJECTED),
    ],
)
def test_a_failure_reason_decides_what_becomes_of_the_delivery(reason: int, outcome: DeliveryOutcome) -> None:
    assert of_failure_reason(reason, {}) is outcome
    assert of_failure_reason(reason, {reason: DeliveryOutcome.RETRY}) is DeliveryOutcome.RETRY


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, HttpOutcome.RETRY),
        (301, HttpOutcome.UNREACHABLE),
        (400, HttpOutcome.REJECTED),
        (401, HttpOutcome.UNREACHABLE),
        (408, HttpOutcome.RETRY),
        (413, HttpOutcome.REJECTED),
        (429, HttpOutcome.UNREACHABLE),
        (500, HttpOutcome.RETRY),
        (503, HttpOutcome.UNREACHABLE),
    ],
)
def test_a_status_decides_only_without_a_verdict(status: int, outcome: HttpOutcome) -> None:
    assert of_http_status(status) is outcome


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("999999999", 3600.0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("Sat, 31 Jan 99999999999999999999 12:00:30 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_s(text, now=NOON) == seconds
