"""STOW-RS into a node: what it answers as stored is durable, and every part has its verdict."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from xml.etree.ElementTree import tostring

import pytest
from dicomweb_client.api import DICOMwebClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from cxr_node.domain.clock import utc_now
from cxr_node.ops.tokens import TokenAdministration
from cxr_node.receive.events import WebRequestRejected
from cxr_node.receive.rejection import WebRejection
from cxr_node.records import api_tokens
from cxr_node.simulators import web_modality
from cxr_node.simulators.rejection_notes import rejection_note
from cxr_node.wiring.audit import trail_folder
from cxr_node.wiring.rejection_counters import RejectionCounters
from tests.support import films, peers
from tests.support.audit_rules import recorded
from tests.support.dicomweb import BOUNDARY, MULTIPART, SENDER, Entrance, body, entrance, file_of, verdicts
from tests.support.peers import LOOPBACK

WRONG = "cxr_wrong"
CANNOT_UNDERSTAND, MISMATCH, NO_SOP_CLASS, NO_TRANSFER_SYNTAX, NO_ROOM = 0xC000, 0xA900, 0x0122, 0xC122, 0xA700


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entrance]:
    with entrance(tmp_path_factory.mktemp("web") / "node") as served:
        yield served


def film(seed: int, **changes: object) -> Dataset:
    return films.dx(seed=seed, changes=changes or None)


def file_in(data_set: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return a film in another uncompressed transfer syntax."""
    data_set.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    out = BytesIO()
    is_big = transfer_syntax_uid == ExplicitVRBigEndian
    if is_big:
        data_set.PixelData = data_set.pixel_array.byteswap().tobytes()
    data_set.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicomweb_client_stores_a_hundred_parts(web: Entrance) -> None:
    client = DICOMwebClient(web.url, headers={"Authorization": f"Bearer {web.token}"})
    sent = [film(1000 + number) for number in range(100)]

    response = client.store_instances(sent)

    uids = {str(data_set.SOPInstanceUID) for data_set in sent}
    assert {str(item.ReferencedSOPInstanceUID) for item in response.ReferencedSOPSequence} == uids
    assert "FailedSOPSequence" not in response
    stored = web.stored()
    assert uids <= stored.keys()
    assert {stored[uid] for uid in uids} == {SENDER}


def test_curl_stores_a_film_with_100_continue(web: Entrance, tmp_path: Path) -> None:
    data_set = film(1)
    path = tmp_path / "body"
    path.write_bytes(body(file_of(data_set)) + bytes(2_000_000))  # large enough for Expect: 100-continue
    ended = peers.run(
        "curl",
        *("--silent", "--show-error", "--noproxy", "*", "-H", f"Authorization: Bearer {web.token}"),
        *("-H", f"Content-Type: {MULTIPART}", "-H", "Expect: 100-continue", "--data-binary", f"@{path}"),
        *("-w", "\n%{http_code}", f"{web.url}/studies"),
    )

    module, _, status = ended.stdout.rpartition("\n")
    assert status == "200", ended.stderr
    (item,) = json.loads(module)["00081199"]["Value"]
    assert item["00081155"]["Value"] == [data_set.SOPInstanceUID]
    path_of_instance = f"/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
    assert item["00081190"]["Value"] == [f"{web.url}/studies/{data_set.StudyInstanceUID}{path_of_instance}"]


def test_the_data_set_is_kept_bit_by_bit_as_one_sent_by_c_store(web: Entrance) -> None:
    sent = file_of(film(2))
    assert web.store(sent).status_code == 200

    content = next(
        content
        for key in web.process.archive.stored_keys()
        if (content := web.process.archive.get(key)).endswith(sent[films.data_set_offset(sent) :])
    )
    assert content[films.data_set_offset(content) :] == sent[films.data_set_offset(sent) :]
    assert SENDER.encode() in content[: films.data_set_offset(content)]


def test_a_film_that_comes_again_by_either_service_is_stored_once(web: Entrance, tmp_path: Path) -> None:
    data_set = film(3)
    before = len(web.stored())
    assert peers.storescu(web.dicom_port, films.written(data_set, tmp_path)).returncode == 0
    uid = str(data_set.SOPInstanceUID)

    for _ in range(2):
        response = web.store(file_of(data_set))
        assert (response.status_code, verdicts(response)) == (200, {uid: 0})
    assert len(web.stored()) == before + 1


def test_each_part_has_its_own_verdict(web: Entrance) -> None:
    good, other = film(4), film(5)
    wrong_class = film(6, SOPClassUID=CTImageStorage)
    cut = file_of(other)[: films.data_set_offset(file_of(other)) + 40]
    parts = (file_of(good), b"garbage", file_of(wrong_class), cut)

    response = web.store(*parts)

    assert response.status_code == 202
    assert verdicts(response) == {
        str(good.SOPInstanceUID): 0,
        str(wrong_class.SOPInstanceUID): NO_SOP_CLASS,
        str(other.SOPInstanceUID): CANNOT_UNDERSTAND,
        "": CANNOT_UNDERSTAND,
    }
    stored = web.stored()
    assert str(good.SOPInstanceUID) in stored
    assert str(other.SOPInstanceUID) not in stored


def test_a_request_of_which_nothing_is_stored_is_409(web: Entrance) -> None:
    response = web.store(b"garbage", b"")

    assert (response.status_code, verdicts(response)) == (409, {"": CANNOT_UNDERSTAND})
    assert "Filmer" not in response.text


@pytest.mark.parametrize("uid", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_films_are_stored_in_their_transfer_syntax(web: Entrance, uid: str) -> None:
    data_set = film(7, SOPInstanceUID=f"2.25.7{len(uid)}{uid[-1]}")
    response = web.store(file_in(data_set, uid))

    assert verdicts(response) == {str(data_set.SOPInstanceUID): 0}


def test_an_unknown_transfer_syntax_is_c122_and_a_compressed_one_is_stored(web: Entrance) -> None:
    unknown, compressed = film(8), film(9)
    sent = file_of(unknown).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    compressed.compress(RLELossless, generate_instance_uid=False)

    assert verdicts(web.store(sent)) == {str(unknown.SOPInstanceUID): NO_TRANSFER_SYNTAX}
    assert verdicts(web.store(file_of(compressed))) == {str(compressed.SOPInstanceUID): 0}


def test_uids_are_those_of_the_data_set_and_not_of_the_file_meta(web: Entrance) -> None:
    data_set = film(10)
    sent = file_of(data_set)
    offset, uid = films.data_set_offset(sent), str(data_set.SOPInstanceUID).encode()
    lying = sent[:offset].replace(uid, uid[:-1] + (b"1" if uid[-1:] != b"1" else b"2")) + sent[offset:]

    assert lying != sent
    assert verdicts(web.store(lying)) == {str(data_set.SOPInstanceUID): 0}


def test_a_file_without_file_meta_information_is_not_understood(web: Entrance) -> None:
    sent = file_of(film(11))
    offset = films.data_set_offset(sent)

    for file in (sent[offset:], bytes(128) + b"DICM" + sent[offset:], sent[:200]):
        assert web.store(file).status_code == 409
    assert web.store(sent[132:]).status_code == 200  # without preamble and prefix, as pydicom may write it


def test_the_study_of_the_path_must_be_that_of_the_films(web: Entrance) -> None:
    here, there = film(12), film(13)

    response = web.store(file_of(here), file_of(there), path=f"/studies/{here.StudyInstanceUID}")

    assert response.status_code == 202
    assert verdicts(response) == {str(here.SOPInstanceUID): 0, str(there.SOPInstanceUID): MISMATCH}
    assert web.store(file_of(here), path="/studies/no-uid").status_code == 400


def test_a_rejection_note_withdraws_its_film_as_by_c_store(web: Entrance) -> None:
    data_set = film(14)
    note = rejection_note("113037", data_set)
    assert web.store(file_of(data_set)).status_code == 200

    assert verdicts(web.store(file_of(note))) == {str(note.SOPInstanceUID): 0}

    refused = web.store(file_of(data_set))
    assert (refused.status_code, verdicts(refused)) == (409, {str(data_set.SOPInstanceUID): CANNOT_UNDERSTAND})


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic d2ViOndlYg==", "Bearer", "Bearer \u00e9"])
def test_without_a_valid_token_the_answer_comes_before_the_body(web: Entrance, authorization: str) -> None:
    head = (
        f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n"
        f"Content-Type: {MULTIPART}\r\n" + (f"Authorization: {authorization}\r\n" if authorization else "") + "\r\n"
    )
    with peers.connected(web.port) as connection:
        connection.sendall(head.encode("latin-1"))
        answer = connection.recv(2000)

    assert answer.startswith(b"HTTP/1.1 401"), answer
    assert b"WWW-Authenticate: Bearer" in answer


def test_a_token_stops_to_be_valid_when_it_is_revoked(web: Entrance) -> None:
    token = web.token_of("leaving")
    assert web.request(content=body(b"x"), token=token).status_code == 403
    TokenAdministration(process=web.process, by="test").revoke("leaving")

    assert web.request(content=body(b"x"), token=token).status_code == 401
    rejections = [event.rejection for event in web.events if isinstance(event, WebRequestRejected)]
    assert rejections[-2:] == [WebRejection.NOT_PERMITTED, WebRejection.TOKEN_NOT_VALID]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/dicom"}, 415),
        ({"Content-Type": f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'}, 415),
        ({"Content-Type": f'multipart/form-data; type="application/dicom"; boundary={BOUNDARY}'}, 415),
        ({"Content-Type": 'multipart/related; type="application/dicom"'}, 400),
        ({"Content-Type": 'multipart/related; type="application/dicom"; boundary=another'}, 400),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "application/dicom+xml"}, 406),
        ({"Accept": "application/dicom+xml;q=0.2, */*;q=0.1"}, 200),
        ({"Content-Type": f"multipart/related; boundary={BOUNDARY}"}, 200),
    ],
)
def test_a_request_of_another_form_stores_nothing(web: Entrance, headers: dict[str, str], status: int) -> None:
    data_set = film(15 if status == 200 else 16)
    response = web.request(content=body(file_of(data_set)), headers=headers)

    assert response.status_code == status
    assert (str(data_set.SOPInstanceUID) in web.stored()) is (status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/studies", 405),
        ("DELETE", "/studies/1.2", 405),
        ("POST", "/patients", 404),
        ("POST", "/studies/1/2", 404),
    ],
)
def test_what_is_no_service_gets_its_status(web: Entrance, method: str, path: str, status: int) -> None:
    assert web.request(method, path).status_code == status


def test_parts_before_the_end_of_a_cut_body_are_stored_and_named(web: Entrance) -> None:
    whole, cut = film(17), film(18)
    content = body(file_of(whole), file_of(cut))[:-40]

    response = web.request(content=content)

    assert (response.status_code, verdicts(response)) == (400, {str(whole.SOPInstanceUID): 0})
    stored = web.stored()
    assert str(whole.SOPInstanceUID) in stored
    assert str(cut.SOPInstanceUID) not in stored


def test_a_part_of_another_media_type_or_encoding_is_not_understood(web: Entrance) -> None:
    content = body(file_of(film(19)), content_type="image/jpeg")
    encoded = body(file_of(film(19))).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)

    assert web.request(content=content).status_code == 409
    assert web.request(content=encoded).status_code == 409


def test_a_modality_of_ours_reads_the_verdicts(web: Entrance) -> None:
    sent = [film(20), film(21)]

    assert web_modality.store(sent, url=web.url, token=web.token) == {str(one.SOPInstanceUID): 0 for one in sent}
    assert web_modality.store(sent, url=web.url, token=WRONG) == {}


def test_objects_and_authentications_are_audited_and_no_patient_is_logged(
    web: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    data_set = film(22)
    web.store(file_of(data_set), b"garbage")
    web.request(content=b"", token=web.token_of("stranger"))

    trail = trail_folder(web.process.settings)
    transfers = [tostring(message) for message in recorded(trail, "110104")]
    assert len([message for message in transfers if str(data_set.SOPInstanceUID).encode() in message]) == 1
    logins = [
        (participant.get("UserID"), identification.get("EventOutcomeIndicator"))
        for message in recorded(trail, "110114")
        for identification in message.findall("EventIdentification")
        for participant in message.findall("ActiveParticipant")[:1]
    ]
    assert {(f"token/{SENDER}", "0"), ("token/stranger", "0"), ("token/stranger", "4")} <= set(logins)
    assert films.PATIENT_ID not in caplog.text


def test_rejected_requests_are_counted_by_token_and_reason(web: Entrance, tmp_path: Path) -> None:
    counters = RejectionCounters(tmp_path / "rejections.json")
    count = len(web.events)
    web.request(content=b"", token=WRONG)
    web.request(content=b"", token=web.token_of("curious"))
    web.store(b"garbage")
    for event in web.events[count:]:
        counters.note(event)

    assert {(row.calling_ae_title, row.reason): row.rejections for row in counters.rows()} == {
        ("", "web_token_not_valid"): 1,
        ("curious", "web_not_permitted"): 1,
        (SENDER, "cannot_understand"): 1,
    }


@given(content=st.binary(max_size=400), closing=st.sampled_from(["--", "", " x"]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_get_a_status_and_store_nothing(web: Entrance, content: bytes, closing: str) -> None:
    before = web.count()
    response = web.request(content=body(content, closing=closing))

    assert response.status_code in (400, 409)
    assert web.count() == before


def test_a_connection_that_breaks_leaves_nothing_behind(web: Entrance) -> None:
    staging = web.process.settings.node.data_folder / "archive" / "staging"
    content = body(file_of(films.dx(seed=38, rows=600, columns=600)))
    with socket.create_connection((LOOPBACK, web.port), timeout=20) as connection:
        head = (
            f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\n"
            f"Authorization: Bearer {web.token}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection.sendall(head.encode() + content[:-100])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    assert list(staging.iterdir()) == []


def test_a_token_is_noted_as_used_once_an_hour(web: Entrance) -> None:
    now = utc_now()
    token = api_tokens.find_valid(web.process.database, web.token, now=now)
    assert token is not None
    web.store(b"x")
    used = api_tokens.find_valid(web.process.database, web.token, now=now)
    assert used is not None
    assert used.last_used_at is not None
    assert not api_tokens.note_use(web.process.database, used, now=used.last_used_at + timedelta(minutes=59))
    assert api_tokens.note_use(web.process.database, used, now=used.last_used_at + timedelta(minutes=61))
