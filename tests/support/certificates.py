"""Certificates for tests, made by OpenSSL: authorities and certificates that they issue."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.support import peers

_DAYS = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def dcmtk(self) -> tuple[str, str, str]:
        """DCMTK's options for a peer with this certificate."""
        return "+tls", str(self.key), str(self.certificate)

    @property
    def der(self) -> bytes:
        """The certificate as peers see it."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


def authority(folder: Path, name: str = "authority") -> Certificate:
    """Return a new authority in `folder`."""
    certificate = Certificate(certificate=folder / f"{name}.pem", key=folder / f"{name}-key.pem")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", _DAYS),
        *("-subj", f"/CN=test {name}", "-keyout", str(certificate.key), "-out", str(certificate.certificate)),
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    return certificate


def issued(folder: Path, by: Certificate, name: str, *, host: str = "IP:127.0.0.1") -> Certificate:
    """Return a new certificate for `host` issued by the authority `by`."""
    certificate = Certificate(certificate=folder / f"{name}.pem", key=folder / f"{name}-key.pem")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={host}\nbasicConstraints=CA:FALSE\n")
    _openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", str(certificate.key), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(by.certificate), "-CAkey", str(by.key)),
        *("-CAcreateserial", "-days", _DAYS, "-extfile", str(extensions), "-out", str(certificate.certificate)),
    )
    return certificate


def _openssl(*arguments: str) -> None:
    ended = peers.run("openssl", *arguments)
    assert ended.returncode == 0, ended.stderr
