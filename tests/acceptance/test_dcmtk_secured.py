"""DCMTK sends a film to the node by mutual TLS, with user name and password."""

import json
from pathlib import Path

import pytest

from cxr_node.domain.password_hash import PasswordHash
from tests.support import certificates, films, peers
from tests.support.certificates import Certificate
from tests.support.running_node import running, settings_file


def secured(folder: Path, ca: Certificate, shown: Certificate, password: str) -> Path:
    """Return the settings of a node that requires a certificate of `ca` and a password."""
    config = settings_file(
        folder,
        is_tiny=True,
        destinations=({"kind": "folder", "name": "folder", "folder": str(folder / "results"), "results": ["report"]},),
        more=f"""
[[receive.users]]
name = "dx1"
password_hash = "{PasswordHash.from_password(password, salt=bytes(16))}"

[[receive.peers]]
ae_title = "DX1"
sop_classes = ["DigitalXRayImageStorageForPresentation"]
films_per_minute = 60
""",
    )
    files = {"tls_certificate": shown.certificate, "tls_key": shown.key, "tls_peers_ca": ca.certificate}
    tls = "".join(f"{name} = {json.dumps(str(path))}\n" for name, path in files.items())
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[receive]\n", f"[receive]\n{tls}", 1), encoding="utf-8")
    return config


@pytest.mark.ci(short="tests/integration/test_receive_tls.py::test_dcmtk_sends_by_tls_in_each_profile_of_bcp_195")
def test_film_and_report_travel_by_mutual_tls_with_a_password(tmp_path: Path) -> None:
    ca, other_ca = certificates.authority(tmp_path), certificates.authority(tmp_path, "other")
    shown, modality = certificates.issued(tmp_path, ca, "node"), certificates.issued(tmp_path, ca, "modality")
    untrusted = certificates.issued(tmp_path, other_ca, "untrusted")
    film = films.written(films.dx(rows=300, columns=280), tmp_path)
    config = secured(tmp_path / "node", ca, shown, "correct horse")

    with running(config) as node:

        def send(certificate: Certificate | None, *identity: str, calling: str = "DX1") -> int:
            tls = ("+tla",) if certificate is None else certificate.dcmtk
            options = [*tls, "+cf", str(ca.certificate), *identity]
            return peers.storescu(node.port, film, calling=calling, options=options).returncode

        assert peers.storescu(node.port, film, calling="DX1").returncode != 0
        assert send(None, "-usr", "dx1", "-pwd", "correct horse") != 0
        assert send(untrusted, "-usr", "dx1", "-pwd", "correct horse") != 0
        assert send(modality) != 0
        assert send(modality, "-usr", "dx1", "-pwd", "wrong") != 0
        assert send(modality, "-usr", "dx1", "-pwd", "correct horse", calling="DX2") != 0
        assert node.jobs() == []
        assert send(modality, "-usr", "dx1", "-pwd", "correct horse", "-rsp") == 0
        node.until_idle()
    audit = "".join(path.read_text("utf-8") for path in (tmp_path / "node/cxr-node-data/audit").glob("*.xml"))

    assert len(list((tmp_path / "node" / "results").glob("*.dcm"))) == 1
    assert audit.count('csd-code="110122"') == 3  # two that failed, one that did not
    assert "EventOutcomeDescription>no TLS" in audit
