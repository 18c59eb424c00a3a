"""Delivery by TLS to DCMTK's storescp."""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.net.tls_peer import TlsPeer
from tests.support import certificates, films, peers
from tests.support.certificates import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Two authorities, the archive's certificate, ours, and one for another host."""

    authority: Certificate
    elsewhere: Certificate
    archive: Certificate
    node: Certificate
    other_host: Certificate


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    authority = certificates.authority(folder)
    return Site(
        authority=authority,
        elsewhere=certificates.authority(folder, "elsewhere"),
        archive=certificates.issued(folder, authority, "archive"),
        node=certificates.issued(folder, authority, "node"),
        other_host=certificates.issued(folder, authority, "other", host="DNS:pacs.example.org"),
    )


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    return films.written(films.dx(), tmp_path).read_bytes()


def destination(port: int, tls: TlsPeer | None, *, timeout_s: float = 30.0) -> CStoreDestination:
    return CStoreDestination(
        name="pacs",
        peer=Peer(
            host=peers.LOOPBACK,
            port=port,
            called_ae_title=AeTitle("STORESCP"),
            calling_ae_title=AeTitle("CXRNODE"),
            connection_timeout_s=timeout_s,
            tls=tls,
        ),
    )


def ours(site: Site, ca: Certificate) -> TlsPeer:
    return TlsPeer(ca=ca.certificate, certificate=site.node.certificate, key=site.node.key)


def secured(site: Site, shown: Certificate) -> list[str]:
    """Return the options of an archive with the certificate `shown` that requires one of the authority."""
    return [*shown.dcmtk, "+cf", str(site.authority.certificate)]


def test_dcmtk_receives_the_data_set_by_mutual_tls(site: Site, film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived", *secured(site, site.archive), secure=True) as scp:
        to = destination(scp.port, ours(site, site.authority))
        to.echo()
        assert to.send(film).status == 0
        (arrived,) = scp.files()
    assert films.data_set_bytes(arrived) == film[films.data_set_offset(film) :]


def test_an_archive_with_an_untrusted_certificate_gets_nothing(site: Site, film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived", *secured(site, site.archive), secure=True) as scp:
        with pytest.raises(RetryLater, match=r"no TLS with STORESCP at .*: the certificate is not trusted"):
            destination(scp.port, ours(site, site.elsewhere)).send(film)
        assert scp.files() == []


def test_an_archive_with_a_certificate_of_another_host_gets_nothing(site: Site, film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived", *secured(site, site.other_host), secure=True) as scp:
        with pytest.raises(RetryLater, match="not trusted: IP address mismatch"):
            destination(scp.port, ours(site, site.authority)).send(film)
        assert scp.files() == []

        lenient = TlsPeer(
            ca=site.authority.certificate,
            certificate=site.node.certificate,
            key=site.node.key,
            check_host=False,
        )
        assert destination(scp.port, lenient).send(film).status == 0


def test_an_archive_that_requires_a_certificate_rejects_without(site: Site, film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived", *secured(site, site.archive), secure=True) as scp:
        with pytest.raises(RetryLater):
            destination(scp.port, TlsPeer(ca=site.authority.certificate)).send(film)
        assert scp.files() == []


def test_an_archive_without_tls_gets_nothing(site: Site, film: bytes, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "arrived") as scp:
        with pytest.raises(RetryLater, match="no TLS with STORESCP"):
            destination(scp.port, ours(site, site.authority)).send(film)
        assert scp.files() == []


def test_a_stalled_handshake_ends_at_the_time_out(site: Site, film: bytes) -> None:
    def stall(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with peers.line(stall) as port, pytest.raises(RetryLater, match=r"no TLS with STORESCP .*: timed out"):
        destination(port, ours(site, site.authority), timeout_s=0.5).send(film)


def test_a_renewed_authority_is_used_at_the_next_attempt(site: Site, film: bytes, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    shutil.copy(site.elsewhere.certificate, trusted)
    with peers.storescp(tmp_path / "arrived", *secured(site, site.archive), secure=True) as scp:
        to = destination(scp.port, TlsPeer(ca=trusted, certificate=site.node.certificate, key=site.node.key))
        with pytest.raises(RetryLater, match="not trusted"):
            to.send(film)
        shutil.copy(site.authority.certificate, trusted)
        assert to.send(film).status == 0


def test_missing_tls_files_are_reported(film: bytes, tmp_path: Path) -> None:
    with pytest.raises(RetryLater, match=r"TLS files for STORESCP .* cannot be used: No such file"):
        destination(1, TlsPeer(ca=tmp_path / "absent.pem")).send(film)
