"""What a known peer may do: which SOP Classes, how many films in a minute, for how long."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.config import ConfigurationError, parse
from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.identifiers import AeTitle, Uid, digest_of
from cxr_node.receive.admission import PeerRule, TokenBucket
from cxr_node.receive.tls import TlsFiles
from cxr_node.settings.root import Settings
from tests.support import certificates, films, peers
from tests.support.certificates import Certificate
from tests.support.peers import LOOPBACK, VERIFICATION
from tests.support.receiver import DX, association, receiving, store
from tests.support.running_node import running, settings_file

CR = "1.2.840.10008.5.1.4.1.1.1"
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3


def encoded(film: Dataset) -> bytes:
    data_set = encode(film, False, True)
    assert data_set is not None
    return data_set


@contextmanager
def watched(port: int) -> Iterator[tuple[Association, socket.socket]]:
    """Open an association, and close its socket at the end, which pynetdicom leaks after an abort."""
    with association(port) as opened:
        wrapped = opened.dul.socket
        assert wrapped is not None
        assert wrapped.socket is not None
        with closing(wrapped.socket) as raw:
            yield opened, raw


def test_dcmtk_may_send_only_the_sop_classes_of_its_rule(tmp_path: Path) -> None:
    dx, cr = films.written(films.dx(), tmp_path), films.written(films.cr(), tmp_path)
    rules = (PeerRule(ae_title=AeTitle("DX1"), sop_classes=frozenset({Uid(DX)})), PeerRule(ae_title=AeTitle("ANY")))
    with receiving(peers=rules) as node:
        assert peers.storescu(node.port, dx, calling="DX1").returncode == 0
        refused = peers.storescu(node.port, cr, calling="DX1")
        assert refused.returncode != 0
        assert "No valid Presentation Context" in refused.stderr
        assert peers.echoscu(node.port, calling="DX1").returncode == 0
        assert peers.storescu(node.port, cr, calling="ANY").returncode == 0
    assert node.sop_instance_uids == [dx.stem, cr.stem]


def test_a_forbidden_sop_class_is_abstract_syntax_not_supported() -> None:
    rules = (PeerRule(ae_title=AeTitle("DX1"), sop_classes=frozenset({Uid(DX)})),)
    entity = AE(ae_title="DX1")
    for sop_class_uid in (VERIFICATION, DX, CR, PUSH_MODEL):
        entity.add_requested_context(sop_class_uid)
    with receiving(peers=rules) as node:
        opened = entity.associate(LOOPBACK, node.port, ae_title="CXRNODE")
        accepted = {str(context.abstract_syntax) for context in opened.accepted_contexts}
        rejected = {str(context.abstract_syntax): context.result for context in opened.rejected_contexts}
        opened.release()

    assert accepted == {VERIFICATION, DX}
    assert rejected == dict.fromkeys((CR, PUSH_MODEL), ABSTRACT_SYNTAX_NOT_SUPPORTED)


def test_a_peer_restricted_to_commitment_cannot_send_films(tmp_path: Path) -> None:
    config = settings_file(
        tmp_path / "node",
        more='[[receive.peers]]\nae_title = "REQUESTER"\nsop_classes = ["StorageCommitmentPushModel"]',
    )
    film = films.written(films.dx(), tmp_path)
    with running(config, roles=("receive",), wait_for=("receive",)) as node:
        assert peers.storescu(node.port, film, calling="REQUESTER").returncode != 0
        with association(node.port, sop_class_uid=PUSH_MODEL, calling="REQUESTER") as opened:
            assert [str(context.abstract_syntax) for context in opened.accepted_contexts] == [PUSH_MODEL]


def test_a_sop_class_that_is_not_accepted_is_no_setting() -> None:
    with pytest.raises(ValueError, match="is none of ComputedRadiographyImageStorage"):
        Settings.model_validate({"receive": {"peers": [{"ae_title": "DX1", "sop_classes": ["CTImageStorage"]}]}})


def test_dcmtk_gets_out_of_resources_above_its_rate(tmp_path: Path) -> None:
    sent = [films.written(films.dx(seed=seed), tmp_path) for seed in range(4)]
    rules = (PeerRule(ae_title=AeTitle("DX1"), films_per_minute=2), PeerRule(ae_title=AeTitle("DX2")))
    with receiving(peers=rules) as node:
        ended = peers.storescu(node.port, *sent, calling="DX1", options=["-nh"])
        assert ended.stderr.count("Refused: OutOfResources") == 2
        assert node.sop_instance_uids == [film.stem for film in sent[:2]]
        assert peers.storescu(node.port, *sent, calling="DX2").returncode == 0
        assert len(node.instances) == 6


def test_a_token_bucket_admits_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(6, now=0.0)
    assert [bucket.admits(now=0.0) for _ in range(7)] == [True] * 6 + [False]
    assert [bucket.admits(now=now) for now in (9.0, 10.0, 11.0, 20.0)] == [False, True, False, True]
    assert [bucket.admits(now=1000.0) for _ in range(7)] == [True] * 6 + [False]


def test_a_busy_association_ends_at_its_time_out() -> None:
    film = films.dx()
    data_set = encoded(film)
    answers: list[int] = []
    with receiving(association_timeout_s=1.0) as node, watched(node.port) as (opened, _):
        started = time.monotonic()
        while opened.is_established and time.monotonic() - started < 20.0:
            try:
                answers.append(store(opened, data_set, sop_instance_uid=film.SOPInstanceUID)[0])
            except AssertionError:
                break
        opened.join(20.0)
        assert opened.is_aborted
        assert 0.9 < time.monotonic() - started < 20.0
    # Exactly the stored films got a response.
    assert answers == [0] * len(node.instances)
    assert answers


def test_an_idle_association_ends_at_its_time_out() -> None:
    with receiving(association_timeout_s=0.5, network_timeout_s=600.0) as node, watched(node.port) as (opened, _):
        opened.join(20.0)
        assert opened.is_aborted


def test_a_pdu_above_the_maximum_length_ends_its_association() -> None:
    film = films.dx()
    with receiving() as node, association(node.port) as other, watched(node.port) as (opened, raw):
        raw.sendall(b"\x04\x00" + (1 << 31).to_bytes(4, "big") + bytes(1000))
        opened.join(20.0)
        assert opened.is_aborted
        assert store(other, encoded(film), sop_instance_uid=film.SOPInstanceUID)[0] == 0


def test_films_of_one_association_share_a_unique_name(tmp_path: Path) -> None:
    sent = [films.written(films.dx(seed=seed), tmp_path) for seed in range(3)]
    with receiving() as node:
        assert peers.storescu(node.port, *sent[:2]).returncode == 0
        assert peers.storescu(node.port, sent[2]).returncode == 0
    first, second, third = (sender.association for sender in node.senders)

    assert first == second != third
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", third)


def test_a_peer_needs_the_certificate_of_its_ae_title(tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    shown, first, second = (certificates.issued(tmp_path, ca, name) for name in ("node", "first", "second"))
    film = films.written(films.dx(), tmp_path)
    rules = tuple(
        PeerRule(ae_title=AeTitle(title), certificates=frozenset({digest_of(own.der)}))
        for title, own in (("DX1", first), ("DX2", second))
    )
    tls = TlsFiles(certificate=shown.certificate, key=shown.key, peers_ca=ca.certificate)
    with receiving(peers=(*rules, PeerRule(ae_title=AeTitle("ANY"))), tls=tls) as node:

        def send(own: Certificate, calling: str) -> subprocess.CompletedProcess[str]:
            return peers.storescu(node.port, film, calling=calling, options=[*own.dcmtk, "+cf", str(ca.certificate)])

        assert send(first, "DX1").returncode == send(second, "DX2").returncode == send(second, "ANY").returncode == 0
        borrowed = send(second, "DX1")
        assert borrowed.returncode != 0
        assert "Calling AE Title Not Recognized" in borrowed.stderr
    assert [sender.calling_ae_title for sender in node.senders] == ["DX1", "DX2", "ANY"]


def test_a_fingerprint_in_openssl_form_needs_client_certificates(tmp_path: Path) -> None:
    own = certificates.authority(tmp_path)
    written = peers.run("openssl", "x509", "-in", str(own.certificate), "-noout", "-fingerprint", "-sha256").stdout
    rule = {"ae_title": "DX1", "certificates": [written.strip().partition("=")[2]]}
    tls = {"tls_certificate": "a", "tls_key": "b", "tls_peers_ca": "c"}

    (peer,) = parse({"receive": {"peers": [rule], **tls}}).receive.peers
    assert peer.certificates == (digest_of(own.der),)
    with pytest.raises(ConfigurationError, match=r"needs receive\.tls_peers_ca"):
        parse({"receive": {"peers": [rule]}})
