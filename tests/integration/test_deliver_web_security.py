"""Credentials and TLS of destinations by the web, of each kind: OAuth2, bearer, basic, and mutual TLS."""

import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite

from cxr_node.deliver.destination import Destination, DestinationUnreachable
from cxr_node.deliver.fhir import Fhir
from cxr_node.deliver.stow import Stow
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.report.kinds import tid1500
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.fhir import SimulatedFhir
from tests.support import certificates, films
from tests.unit.report.studies import everything, request

CLIENT = f"Basic {b64encode(b'node:secret').decode()}"
Server = SimulatedDicomWeb | SimulatedFhir


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A kind of destination with its server, and what is sent to it by number."""

    server: Callable[..., Server]
    row: Callable[..., Stow | Fhir]
    content: Callable[[int], bytes]

    def destination(self, url: str, **settings: Any) -> Destination:
        """Return the opened destination."""
        return self.row(name="web", url=url, **settings).open(calling_ae_title=AeTitle("CXRNODE"))


def film(number: int) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, films.dx(seed=number), enforce_file_format=True)
    return stream.getvalue()


def report(number: int) -> bytes:
    (composed,) = tid1500.REPORT.compose(request([everything(films.dx(seed=number))]))
    return composed.content


def fhir(**settings: Any) -> Fhir:
    return Fhir(**settings, patient="identifier")


STOW = Web(server=SimulatedDicomWeb, row=Stow, content=film)
FHIR = Web(server=SimulatedFhir, row=fhir, content=report)
KINDS = pytest.mark.parametrize("web", [pytest.param(STOW, id="stow"), pytest.param(FHIR, id="fhir")])


def stored(server: Server) -> int:
    """Return the number of instances, or of reports, that a server has."""
    return sum(map(len, server.by_study.values()))


@KINDS
def test_an_expired_token_is_renewed_once(web: Web, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    with web.server(client=CLIENT) as server:
        server.authorization = "Bearer none yet"
        settings = {"auth": "oauth2", "client_id": "node", "client_secret_file": secret}
        to = web.destination(server.url, token_url=f"{server.web_address}/token", **settings)
        to.send(web.content(61))
        to.send(web.content(62))
        assert server.tokens == 1

        server.authorization = "Bearer of another"  # expired early
        to.send(web.content(63))
        assert server.tokens == 2
        assert stored(server) == 3

        secret.write_text("wrong\n")
        server.authorization = "Bearer of another"
        with pytest.raises(DestinationUnreachable, match="no access token"):
            to.send(web.content(64))
        assert stored(server) == 3


@KINDS
def test_password_and_token_are_read_at_each_request(web: Web, tmp_path: Path) -> None:
    line, content = tmp_path / "line", web.content(65)
    line.write_text("old")
    with web.server(authorization="Bearer new") as server:
        to = web.destination(server.url, auth="bearer", token_file=line, headers=("X-Site: north",))
        with pytest.raises(DestinationUnreachable, match="status 401"):
            to.send(content)
        line.write_text("new\n")
        assert to.send(content).status == 0
        assert server.headers[-1]["X-Site"] == "north"

        server.authorization = f"Basic {b64encode('node:pässword'.encode()).decode()}"
        line.write_text("pässword")
        to = web.destination(server.url, auth="basic", user="node", password_file=line)
        assert to.send(web.content(66)).status == 0
        line.unlink()
        with pytest.raises(DestinationUnreachable, match="line cannot be read"):
            to.send(web.content(67))


@KINDS
def test_a_server_is_reached_by_mutual_tls_only(web: Web, tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    own, other = certificates.issued(tmp_path, authority, "server"), certificates.authority(tmp_path, "other")
    node = certificates.issued(tmp_path, authority, "node")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with web.server(tls=context) as server:
        files = {"tls_ca": authority.certificate, "tls_certificate": node.certificate, "tls_key": node.key}
        assert web.destination(server.url, **files).send(web.content(68)).status == 0
        for wrong in ({"tls_ca": authority.certificate}, {**files, "tls_ca": other.certificate}, {}):
            with pytest.raises(RetryLater):
                web.destination(server.url, **wrong).send(web.content(69))
        assert stored(server) == 1
