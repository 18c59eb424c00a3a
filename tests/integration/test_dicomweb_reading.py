"""QIDO-RS and WADO-RS of a node: what it holds, to those who may see identifiers, read by an independent client."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from cxr_node.queries import held_instances
from cxr_node.queries.held_instances import Matching
from cxr_node.simulators.rejection_notes import rejection_note
from cxr_node.wiring.audit import trail_folder
from tests.support import films
from tests.support.audit_rules import recorded
from tests.support.dicomweb import Entrance, entrance, file_of
from tests.support.node import InProcessNode

ORIGIN = "https://ohif.example.org"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A node that holds three studies with their reports, and a client that may see them."""

    web: Entrance
    token: str
    sent: tuple[Dataset, ...]

    @property
    def client(self) -> DICOMwebClient:
        """An independent client."""
        return DICOMwebClient(self.web.url, headers={"Authorization": f"Bearer {self.token}"})

    def get(self, path: str, *, accept: str = "*/*", **headers: str) -> httpx.Response:
        """Send a request."""
        fields = {"Accept": accept, **headers}
        return self.web.request("GET", path, headers=fields, token=self.token)

    def uids(self, path: str) -> list[str]:
        """Return the Study Instance UIDs that a search finds."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return [match["0020000D"]["Value"][0] for match in response.json()]


def film(seed: int, **changes: object) -> Dataset:
    return films.dx(seed=seed, changes=changes or None)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    compressed = film(3, PatientID="B_3", StudyDate="20260301", AccessionNumber="ACC%3", PatientName="Müller^Jörg")
    compressed.SpecificCharacterSet = "ISO_IR 100"
    compressed.compress(RLELossless, generate_instance_uid=False)
    sent = (
        film(1, PatientID="A-1", StudyDate="20260101", AccessionNumber="ACC1"),
        film(2, PatientID="A-2", StudyDate="20260201", AccessionNumber="ACC2"),
        compressed,
    )
    settings = f'origins = ["{ORIGIN}"]'
    with entrance(tmp_path_factory.mktemp("web") / "node", settings=settings) as web:
        assert web.store(*map(file_of, sent)).status_code == 200
        node = InProcessNode(web.process.database, web.process.settings.node.data_folder)
        node.clock.now = web.process.clock()
        node.work()
        token = web.token_of("viewer", sees_films=True, sees_identifiers=True)
        yield Reading(web=web, token=token, sent=sent)


def studies(*data_sets: Dataset) -> list[str]:
    return [str(data_set.StudyInstanceUID) for data_set in data_sets]


def test_studies_are_found_by_each_attribute_the_newest_first(reading: Reading) -> None:
    first, second, third = reading.sent

    assert reading.uids("/studies") == studies(third, second, first)
    assert reading.uids(f"/studies?StudyInstanceUID={first.StudyInstanceUID}") == studies(first)
    assert reading.uids("/studies?PatientID=A-*") == studies(second, first)
    assert reading.uids("/studies?00100020=A-?&limit=1") == studies(second)
    assert reading.uids("/studies?PatientID=A-*&limit=1&offset=1") == studies(first)
    assert reading.uids("/studies?PatientID=B_3") == studies(third)
    assert reading.uids("/studies?PatientID=A_*") == []
    assert reading.uids("/studies?AccessionNumber=ACC%253") == studies(third)
    assert reading.uids("/studies?AccessionNumber=ACC%25*") == studies(third)
    assert reading.uids("/studies?StudyDate=20260115-20260215") == studies(second)
    assert reading.uids("/studies?StudyDate=20260301") == studies(third)
    assert reading.uids("/studies?StudyDate=-20260201") == studies(second, first)
    assert reading.uids("/studies?ModalitiesInStudy=SR") == studies(third, second, first)
    assert reading.uids("/studies?ModalitiesInStudy=CT") == []


def test_a_study_is_shown_with_what_a_viewer_lists(reading: Reading) -> None:
    third = reading.sent[2]
    (match,) = reading.get("/studies?PatientID=B_3&includefield=all&fuzzymatching=false").json()

    values = {tag: element.get("Value") for tag, element in match.items()}
    assert values["00100010"] == [{"Alphabetic": "Müller^Jörg"}]
    assert values["00100020"] == ["B_3"]
    assert values["00080020"] == ["20260301"]
    assert values["00080061"] == ["DX", "SR"]
    assert (values["00201206"], values["00201208"]) == ([2], [2])
    assert values["00081190"] == [f"{reading.web.url}/studies/{third.StudyInstanceUID}"]


def test_a_warning_tells_of_more_matches_than_asked_for(reading: Reading) -> None:
    assert "more matches" in reading.get("/studies?limit=2").headers["warning"]
    assert "warning" not in reading.get("/studies?limit=3").headers
    assert "fuzzymatching" in reading.get("/studies?fuzzymatching=true").headers["warning"]


def test_the_client_searches_series_and_instances(reading: Reading) -> None:
    first = reading.sent[0]
    uid = str(first.StudyInstanceUID)

    series = reading.client.search_for_series(uid)
    instances = reading.client.search_for_instances(uid)
    every = reading.client.search_for_instances(search_filters={"SOPInstanceUID": str(first.SOPInstanceUID)})
    everywhere = reading.client.search_for_series()

    assert [one["00080060"]["Value"] for one in series] == [["DX"], ["SR"]]
    assert [one["00201209"]["Value"] for one in series] == [[1], [1]]
    assert [one["00080016"]["Value"][0] for one in instances] == [str(first.SOPClassUID), SR]
    assert [one["00080018"]["Value"][0] for one in every] == [str(first.SOPInstanceUID)]
    assert every[0]["00100020"]["Value"] == ["A-1"]
    assert len(everywhere) == 6


def test_the_client_retrieves_instances_bit_by_bit(reading: Reading) -> None:
    third = reading.sent[2]
    uids = [str(uid) for uid in (third.StudyInstanceUID, third.SeriesInstanceUID, third.SOPInstanceUID)]
    types = (("application/dicom", "*"),)

    one = reading.client.retrieve_instance(uids[0], uids[1], uids[2], media_types=types)
    series = reading.client.retrieve_series(uids[0], uids[1], media_types=types)
    study = reading.client.retrieve_study(uids[0], media_types=types)

    assert one.PixelData == third.PixelData
    assert [str(data_set.SOPInstanceUID) for data_set in series] == [uids[2]]
    assert [data_set.Modality for data_set in study] == ["DX", "SR"]
    single = reading.get(f"/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}", accept="application/dicom")
    assert single.headers["content-type"] == "application/dicom"
    assert dcmread(BytesIO(single.content)).file_meta.TransferSyntaxUID == RLELossless


def test_metadata_is_the_data_set_without_pixels(reading: Reading) -> None:
    third = reading.sent[2]
    uid = str(third.StudyInstanceUID)

    image, report = reading.client.retrieve_study_metadata(uid)

    assert image["00080005"]["Value"] == ["ISO_IR 192"]
    assert image["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert image["00280010"]["Value"] == [third.Rows]
    assert "7FE00010" not in image
    assert Dataset.from_json(report).ContentSequence
    (same,) = reading.client.retrieve_series_metadata(uid, str(third.SeriesInstanceUID))
    assert same == image


def test_frames_are_given_as_they_are_encoded(reading: Reading) -> None:
    first, _, third = reading.sent
    native = reading.get(f"{path_of(first)}/frames/1", accept='multipart/related; type="application/octet-stream"')
    compressed = reading.get(
        f"{path_of(third)}/frames/1", accept='multipart/related; type="application/octet-stream"; transfer-syntax=*'
    )

    (pixels,) = reading.client.retrieve_instance_frames(
        str(first.StudyInstanceUID), str(first.SeriesInstanceUID), str(first.SOPInstanceUID), [1]
    )
    assert np.array_equal(np.frombuffer(pixels, "<u2").reshape(first.pixel_array.shape), first.pixel_array)
    assert b"transfer-syntax=1.2.840.10008.1.2.1\r\n" in native.content
    assert compressed.headers["content-type"].startswith('multipart/related; type="image/dicom-rle"')
    assert f"transfer-syntax={RLELossless}".encode() in compressed.content
    assert len(compressed.content) > len(third.PixelData) // 2


def path_of(data_set: Dataset) -> str:
    series = f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}"
    return f"{series}/instances/{data_set.SOPInstanceUID}"


@pytest.mark.parametrize(
    ("end", "accept", "status"),
    [
        ("/frames/2", "*/*", 404),
        ("/frames/0", "*/*", 404),
        ("/frames/1,x", "*/*", 400),
        ("/frames/1", 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1', 406),
        ("/frames/1", 'multipart/related; type="image/jpeg"', 406),
        ("/metadata", "application/dicom+xml", 406),
        ("/metadata", "application/dicom+xml, application/dicom+json;q=0.5", 200),
        ("", 'multipart/related; type="application/dicom+xml"', 406),
        ("/rendered", "*/*", 404),
        ("/bulkdata/00100010", "*/*", 404),
        ("/bulkdata/x", "*/*", 400),
    ],
)
def test_what_cannot_be_given_gets_its_status(reading: Reading, end: str, accept: str, status: int) -> None:
    assert reading.get(f"{path_of(reading.sent[2])}{end}", accept=accept).status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.2.3", 404),
        ("/studies/1.2.3/metadata", 404),
        ("/studies/x", 400),
        ("/studies/1.2/rendered", 404),
        ("/instances/1.2", 404),
        ("/series/1.2/instances/1.3", 404),
        ("/studies?PatientBirthDate=19700101", 400),
        ("/patients", 404),
    ],
)
def test_what_is_not_held_or_not_known_is_an_error(reading: Reading, path: str, status: int) -> None:
    assert reading.get(path).status_code == status


def test_large_values_are_fetched_by_the_uri_of_their_metadata(reading: Reading) -> None:
    profile = bytes(range(256)) * 32
    data_set = film(4)
    data_set.ICCProfile = profile
    assert reading.web.store(file_of(data_set)).status_code == 200
    (metadata,) = reading.get(f"{path_of(data_set)}/metadata").json()

    uri = metadata["00282000"]["BulkDataURI"]
    assert uri == f"{reading.web.url}{path_of(data_set)}/bulkdata/00282000"
    assert reading.get(uri.removeprefix(reading.web.url), accept="application/octet-stream").content == profile
    assert reading.client.retrieve_bulkdata(uri) == [profile]


def test_only_a_token_that_shows_identifiers_reads(reading: Reading) -> None:
    for permissions in ({}, {"sees_films": True}):
        token = reading.web.token_of(f"blind-{len(permissions)}", **permissions)
        for path in ("/studies", path_of(reading.sent[0])):
            assert reading.web.request("GET", path, token=token).status_code == 403
    assert reading.web.request("GET", "/studies", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_film_that_was_rejected_is_not_shown(reading: Reading) -> None:
    data_set = film(5, PatientID="GONE")
    assert reading.web.store(file_of(data_set)).status_code == 200
    assert reading.uids("/studies?PatientID=GONE") == studies(data_set)

    assert reading.web.store(file_of(rejection_note("113037", data_set))).status_code == 200

    assert reading.uids("/studies?PatientID=GONE") == []
    assert reading.get(path_of(data_set)).status_code == 404


def test_searches_and_retrievals_are_audited(reading: Reading) -> None:
    first = reading.sent[1]
    reading.uids("/studies?PatientID=A-2")
    for _ in range(2):
        reading.get(f"{path_of(first)}/frames/1")
        reading.get(path_of(first))

    trail = trail_folder(reading.web.process.settings)
    transfers = [
        message
        for message in recorded(trail, "110104")
        if any(one.get("UserID") == "token/viewer" for one in message.findall("ActiveParticipant"))
        and any(one.get("UID") == str(first.SOPInstanceUID) for one in message.iter("Instance"))
    ]
    searches = [
        message
        for message in recorded(trail, "110112")
        if any(one.get("UserID") == "token/viewer" for one in message.findall("ActiveParticipant"))
    ]
    assert len(transfers) == 1
    assert searches


def test_pages_of_named_origins_may_use_the_server_and_no_others(reading: Reading) -> None:
    preflight = httpx.options(f"{reading.web.url}/studies", headers={"Origin": ORIGIN}, trust_env=False)
    foreign = httpx.options(
        f"{reading.web.url}/studies", headers={"Origin": "https://evil.example.org"}, trust_env=False
    )
    shown = reading.get("/studies", Origin=ORIGIN)

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert foreign.status_code == 401
    assert "access-control-allow-origin" not in foreign.headers
    assert shown.headers["access-control-allow-origin"] == ORIGIN


def test_a_film_whose_header_cannot_be_read_is_found_by_its_row(reading: Reading) -> None:
    sent = file_of(film(6, PatientID="DAMAGED"))
    assert reading.web.store(sent).status_code == 200
    process = reading.web.process
    with process.database.read() as connection:
        (held,) = held_instances.instances(connection, Matching(identifiers={"patient_id": "DAMAGED"}), limit=9)
    process.archive.discard(held.archive_key)

    (match,) = reading.get("/studies?PatientID=DAMAGED").json()
    assert match["0020000D"]["Value"] == [held.study_instance_uid]
    response = reading.get(f"/studies/{held.study_instance_uid}")
    assert response.status_code == 500
    assert "missing" in json.dumps(response.json())


def test_a_retrieval_from_another_address_is_audited_apart(reading: Reading) -> None:
    data_set = reading.sent[0]
    reading.get(path_of(data_set))
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as client:
        for _ in range(2):
            headers = {"Authorization": f"Bearer {reading.token}"}
            assert client.get(f"{reading.web.url}{path_of(data_set)}", headers=headers).status_code == 200

    transfers = [
        message
        for message in recorded(trail_folder(reading.web.process.settings), "110104")
        if any(one.get("NetworkAccessPointID") == "127.0.0.2" for one in message.findall("ActiveParticipant"))
    ]
    assert len(transfers) == 1


def test_an_archive_that_is_away_is_503(reading: Reading) -> None:
    data_set = film(8, PatientID="AWAY")
    assert reading.web.store(file_of(data_set)).status_code == 200
    process = reading.web.process
    with process.database.read() as connection:
        (held,) = held_instances.instances(connection, Matching(identifiers={"patient_id": "AWAY"}), limit=9)
    folder = (process.settings.node.data_folder / "archive" / held.archive_key).parent
    away = folder.rename(folder.with_name("away"))
    try:
        response = reading.get("/studies?PatientID=AWAY")
    finally:
        away.rename(folder)

    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert reading.uids("/studies?PatientID=AWAY") == studies(data_set)
