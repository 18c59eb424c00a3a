"""STOW-RS into a node: limits of size, number and time, rules of known senders, and TLS."""

import ssl
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import digest_of
from cxr_node.receive.events import ConnectionFailed
from tests.support import certificates, films, peers
from tests.support.dicomweb import MULTIPART, SENDER, body, entrance, file_of, verdicts
from tests.support.peers import LOOPBACK

CANNOT_UNDERSTAND, NO_SOP_CLASS, NO_ROOM = 0xC000, 0x0122, 0xA700


def film(seed: int) -> Dataset:
    return films.dx(seed=seed)


def test_limits_of_request_object_and_parts(tmp_path: Path) -> None:
    small, large = film(23), films.dx(seed=24, rows=600, columns=400)
    limits = "maximum_request_bytes = 700_000\nmaximum_parts = 2"
    with entrance(tmp_path / "node", settings=limits, receive="maximum_object_bytes = 100_000") as web:
        too_large = web.store(file_of(large), file_of(small))
        many = web.store(*(file_of(film(seed)) for seed in (25, 26, 27)))
        head = web.request(content=bytes(700_001))
        chunked = web.request(content=iter([body(file_of(film(28)), closing=""), b"\r\n" + bytes(700_000)]))
        stored = web.stored()

    assert too_large.status_code == 202
    assert verdicts(too_large) == {str(large.SOPInstanceUID): CANNOT_UNDERSTAND, str(small.SOPInstanceUID): 0}
    assert (many.status_code, list(verdicts(many).values())) == (413, [0, 0])
    assert (head.status_code, head.headers["content-type"]) == (413, "application/json")
    assert (chunked.status_code, list(verdicts(chunked).values())) == (413, [0])
    assert stored.keys() == {str(film(seed).SOPInstanceUID) for seed in (23, 25, 26, 28)}


def test_a_body_that_stops_is_given_up_and_what_came_whole_is_stored(tmp_path: Path) -> None:
    data_set = film(29)
    content = body(file_of(data_set), closing="")
    with entrance(tmp_path / "node", settings="idle_timeout_s = 0.3") as web, peers.connected(web.port) as connection:
        head = (
            f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\n"
            f"Authorization: Bearer {web.token}\r\nContent-Length: {len(content) + 10}\r\n\r\n"
        )
        connection.sendall(head.encode() + content)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        assert str(data_set.SOPInstanceUID) in web.stored()

    assert answer.startswith(b"HTTP/1.1 400")
    assert str(data_set.SOPInstanceUID).encode() in answer


def test_without_space_a_request_is_503_with_retry_after(tmp_path: Path) -> None:
    with entrance(tmp_path / "node", reserve_bytes=2**62) as web:
        response = web.store(file_of(film(30)))

    assert (response.status_code, response.headers["retry-after"]) == (503, "60")


def test_rules_of_known_senders_hold_for_requests_too(tmp_path: Path) -> None:
    classes = 'sop_classes = ["DigitalXRayImageStorageForPresentation"]'
    rules = f'[[receive.peers]]\nae_title = "{SENDER}"\nfilms_per_minute = 2\n{classes}'
    cr = films.cr(seed=31)
    with entrance(tmp_path / "node", more=rules) as web:
        other_class = web.store(file_of(cr), file_of(film(32)))
        second = web.store(file_of(film(33)))
        third = web.store(file_of(film(34)))

    assert verdicts(other_class) == {str(cr.SOPInstanceUID): NO_SOP_CLASS, str(film(32).SOPInstanceUID): 0}
    assert second.status_code == 200
    assert (third.status_code, third.headers["retry-after"]) == (503, "60")
    assert verdicts(third) == {str(film(34).SOPInstanceUID): NO_ROOM}


def test_a_sender_from_another_network_or_without_a_rule_is_not_permitted(tmp_path: Path) -> None:
    for number, rule in enumerate((f'ae_title = "{SENDER}"\naddresses = ["10.0.0.0/8"]', 'ae_title = "OTHER"')):
        with entrance(tmp_path / f"node-{number}", more=f"[[receive.peers]]\n{rule}") as web:
            assert web.store(file_of(film(35))).status_code == 403
            assert web.stored() == {}


def test_tls_with_the_certificate_of_the_senders_rule(tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own, known, other = (certificates.issued(tmp_path, authority, name) for name in ("node", "known", "other"))
    tls = f'tls_certificate = "{own.certificate}"\ntls_key = "{own.key}"\ntls_peers_ca = "{authority.certificate}"'
    rule = f'[[receive.peers]]\nae_title = "{SENDER}"\ncertificates = ["{digest_of(known.der)}"]'
    statuses = []
    with entrance(tmp_path / "node", settings=tls, more=rule, receive=tls) as web:
        for identity in (known, other):
            context = ssl.create_default_context(cafile=str(authority.certificate))
            context.load_cert_chain(identity.certificate, identity.key)
            headers = {"Authorization": f"Bearer {web.token}", "Content-Type": MULTIPART}
            response = httpx.post(
                f"{web.url}/studies", content=body(file_of(film(36))), headers=headers, verify=context, trust_env=False
            )
            statuses.append(response.status_code)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{LOOPBACK}:{web.port}/dicomweb/studies", trust_env=False)

    assert statuses == [200, 403]


def test_more_connections_than_allowed_are_refused_and_reported(tmp_path: Path) -> None:
    head = (
        f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\nContent-Length: 100\r\n"
        "Expect: 100-continue\r\nAuthorization: Bearer "
    )
    with entrance(tmp_path / "node", settings="maximum_connections = 1") as web:
        with peers.connected(web.port) as busy:
            busy.sendall(f"{head}{web.token}\r\n\r\n".encode())
            assert busy.recv(1000).startswith(b"HTTP/1.1 100")
            with peers.connected(web.port) as refused:
                assert refused.recv(1000).startswith(b"HTTP/1.1 503")
        assert [event.address for event in web.events if isinstance(event, ConnectionFailed)] == [LOOPBACK]
