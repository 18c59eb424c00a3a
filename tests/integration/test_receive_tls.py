"""Reception by TLS, with DCMTK's storescu and with peers that never finish a handshake."""

import logging
import shutil
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxr_node.receive.tls import CertificateFiles, Handshakes, TlsFiles
from tests.support import certificates, films, peers
from tests.support.certificates import Certificate
from tests.support.peers import LOOPBACK
from tests.support.receiver import Running, receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site: its authority, certificates of node and modality, and one of another authority."""

    folder: Path
    authority: Certificate
    node: Certificate
    modality: Certificate
    untrusted: Certificate

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(certificate=self.node.certificate, key=self.node.key)

    @property
    def mutual(self) -> TlsFiles:
        return TlsFiles(certificate=self.node.certificate, key=self.node.key, peers_ca=self.authority.certificate)

    def sender(self, shown: Certificate) -> list[str]:
        return [*shown.dcmtk, "+cf", str(self.authority.certificate)]

    @property
    def anonymous(self) -> list[str]:
        return ["+tla", "+cf", str(self.authority.certificate)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    authority, elsewhere = certificates.authority(folder), certificates.authority(folder, "elsewhere")
    return Site(
        folder=folder,
        authority=authority,
        node=certificates.issued(folder, authority, "node"),
        modality=certificates.issued(folder, authority, "modality"),
        untrusted=certificates.issued(folder, elsewhere, "untrusted"),
    )


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.written(films.dx(), tmp_path)


def shown(node: Running, site: Site, *, version: ssl.TLSVersion | None = None, ciphers: str = "") -> ssl.SSLSocket:
    """Connect as a TLS client, of one version or with these ciphers only, and return the connection."""
    context = ssl.create_default_context(cafile=str(site.authority.certificate))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context.wrap_socket(socket.create_connection((LOOPBACK, node.port), 30), server_hostname=LOOPBACK)


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_sends_by_tls_in_each_profile_of_bcp_195(site: Site, film: Path, profile: str) -> None:
    with receiving(tls=site.files) as node:
        sent = peers.storescu(node.port, film, options=[*site.anonymous, profile])

        assert sent.returncode == 0, sent.stderr
        assert node.sop_instance_uids == [film.stem]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_use_forward_secrecy_and_aead(site: Site, version: ssl.TLSVersion) -> None:
    with receiving(tls=site.files) as node, shown(node, site, version=version) as connection:
        cipher = connection.cipher()
        assert cipher is not None
        assert cipher[0].startswith(("ECDHE-", "TLS_"))
        assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]


@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384", "ECDHE+AES:!AESGCM:!AESCCM", "DHE+AESGCM:!ECDHE"])
def test_ciphers_without_forward_secrecy_or_aead_are_refused(site: Site, ciphers: str) -> None:
    with receiving(tls=site.files) as node, pytest.raises(OSError):  # noqa: PT011  # an alert or a reset
        shown(node, site, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)


def test_a_plain_connection_is_not_served_where_tls_is_set(site: Site, film: Path) -> None:
    with receiving(tls=site.files) as node:
        assert peers.storescu(node.port, film).returncode != 0
        assert node.instances == []


def test_only_peers_with_a_trusted_certificate_are_served(site: Site, film: Path) -> None:
    with receiving(tls=site.mutual) as node:
        assert peers.storescu(node.port, film, options=site.anonymous).returncode != 0
        assert peers.storescu(node.port, film, options=site.sender(site.untrusted)).returncode != 0
        assert node.instances == []

        sent = peers.storescu(node.port, film, options=site.sender(site.modality))
        assert sent.returncode == 0, sent.stderr
        assert node.sop_instance_uids == [film.stem]


def test_many_unfinished_handshakes_do_not_block_senders(site: Site, film: Path) -> None:
    with receiving(tls=site.files, maximum_associations=4) as node, ExitStack() as stalled:
        for number in range(100):
            connection = stalled.enter_context(socket.create_connection((LOOPBACK, node.port), 30))
            if number % 2:
                connection.sendall(b"\x16\x03\x01\x02")  # the first bytes of a ClientHello
        started = time.monotonic()
        sent = peers.storescu(node.port, film, options=site.anonymous)
        elapsed_s = time.monotonic() - started

        assert sent.returncode == 0, sent.stderr
        assert node.sop_instance_uids == [film.stem]
        assert elapsed_s < 10.0  # the handshakes' deadline, which it would wait for in the accept loop


def test_a_slow_handshake_ends_at_its_deadline(site: Site) -> None:
    hello = bytes.fromhex("16030101000100")
    stop = threading.Event()
    with (
        receiving(tls=site.files, tls_handshake_timeout_s=1.0) as node,
        socket.create_connection((LOOPBACK, node.port), 30) as connection,
    ):

        def trickle() -> None:
            try:
                for byte in hello * 100:
                    connection.sendall(bytes([byte]))
                    if stop.wait(0.2):
                        return
            except OSError:
                return

        trickling = threading.Thread(target=trickle)
        trickling.start()
        started = time.monotonic()
        try:
            with_what_came = connection.recv(1)
        except ConnectionResetError:
            with_what_came = b""
        elapsed_s = time.monotonic() - started
        stop.set()
        trickling.join()

        assert with_what_came == b""
        assert 0.5 < elapsed_s < 15.0


def test_above_the_limit_the_oldest_handshake_is_closed(site: Site) -> None:
    handshakes = Handshakes(CertificateFiles(site.files), timeout_s=60.0, maximum=1)
    context = ssl.create_default_context(cafile=str(site.authority.certificate))
    stalling, stalled = socket.socketpair()
    coming, came = socket.socketpair()
    ended: list[OSError] = []

    def shake_with_the_one_that_stalls() -> None:
        try:
            handshakes.handshake(stalled)
        except OSError as error:
            ended.append(error)

    old = threading.Thread(target=shake_with_the_one_that_stalls)
    new = threading.Thread(target=lambda: handshakes.handshake(came).close())
    with stalling, coming:
        old.start()
        peers.until(lambda: len(handshakes._pending) == 1, what="the first handshake")
        new.start()
        with context.wrap_socket(coming, server_hostname=LOOPBACK) as connection:
            assert connection.version() is not None
        old.join(30)
        new.join(30)
    assert len(ended) == 1


def test_stopping_does_not_wait_for_handshakes(site: Site) -> None:
    with ExitStack() as stalled:
        with receiving(tls=site.files, tls_handshake_timeout_s=60.0) as node:
            for _ in range(5):
                stalled.enter_context(socket.create_connection((LOOPBACK, node.port), 30))
            started = time.monotonic()
        assert time.monotonic() - started < 15.0


def test_certificates_are_reloaded_when_their_files_change(site: Site, tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node-key.pem")
    renewed = certificates.issued(tmp_path, site.authority, "renewed")
    shutil.copy(site.node.certificate, files.certificate)
    shutil.copy(site.node.key, files.key)
    with receiving(tls=files) as node:
        with shown(node, site) as connection:
            assert connection.getpeercert(binary_form=True) == site.node.der
        renewed.certificate.replace(files.certificate)
        with shown(node, site) as connection:  # the key does not fit yet
            assert connection.getpeercert(binary_form=True) == site.node.der
        renewed.key.replace(files.key)
        with shown(node, site) as connection:
            new = ssl.PEM_cert_to_DER_cert(files.certificate.read_text())
            assert connection.getpeercert(binary_form=True) == new != site.node.der


def test_a_removed_authority_is_no_longer_trusted(site: Site, film: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    shutil.copy(site.authority.certificate, trusted)
    with receiving(tls=TlsFiles(certificate=site.node.certificate, key=site.node.key, peers_ca=trusted)) as node:
        assert peers.storescu(node.port, film, options=site.sender(site.modality)).returncode == 0
        other = tmp_path / "other.pem"
        shutil.copy(site.folder / "elsewhere.pem", other)
        other.replace(trusted)
        assert peers.storescu(node.port, film, options=site.sender(site.modality)).returncode != 0


def test_unusable_tls_files_are_an_error_at_the_start(site: Site, tmp_path: Path) -> None:
    unfit = TlsFiles(certificate=site.node.certificate, key=site.modality.key)
    with pytest.raises(OSError), receiving(tls=unfit):  # noqa: PT011  # the words are OpenSSL's
        pass
    missing = TlsFiles(certificate=tmp_path / "absent.pem", key=site.node.key)
    with pytest.raises(FileNotFoundError), receiving(tls=missing):
        pass


def test_the_log_has_the_reason_of_a_failed_handshake(site: Site, film: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with receiving(tls=site.mutual) as node:
        peers.storescu(node.port, film, options=site.sender(site.untrusted))
        peers.until(lambda: "is not trusted" in caplog.text, what="the line")
    assert f"TLS handshake with {LOOPBACK} failed" in caplog.text
