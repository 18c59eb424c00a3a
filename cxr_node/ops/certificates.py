"""Certificate files that the settings name: expiry, and whether each private key fits."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cxr_node.domain.errors import cause_of
from cxr_node.net.tls_settings import TlsIdentity
from cxr_node.settings.root import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate file: the setting that names it, its earliest expiry, or why that is unknown."""

    setting: str
    path: Path
    not_after: datetime | None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, as the table `setting` names them."""

    setting: str
    certificate: Path
    key: Path

    def fault(self) -> str:
        """Return why the key cannot be used with the certificate; empty if it can. No password is prompted for."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except ssl.SSLError as error:
            return (error.reason or "not a PEM key").lower().replace("_", " ")
        except OSError as error:
            return cause_of(error)
        return ""


def certificates(settings: Settings) -> list[Certificate]:
    """Return every certificate file that the settings name."""
    return [
        _read(f"{key}.{name}", value)
        for key, table in settings.tables()
        for name, value in table
        if name.startswith("tls_") and name != "tls_key" and isinstance(value, Path)
    ]


def key_pairs(settings: Settings) -> Iterator[KeyPair]:
    """Yield every certificate that the settings name with a private key."""
    for key, table in settings.tables():
        if isinstance(table, TlsIdentity) and table.tls_certificate and table.tls_key:
            yield KeyPair(setting=key, certificate=table.tls_certificate, key=table.tls_key)


def _read(setting: str, path: Path) -> Certificate:
    # Takes longer to import than most commands run, and few nodes have a certificate.
    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return Certificate(setting=setting, path=path, not_after=None, fault=cause_of(error))
    except ValueError:
        return Certificate(setting=setting, path=path, not_after=None, fault="no PEM certificate in it")
    return Certificate(setting=setting, path=path, not_after=min(link.not_valid_after_utc for link in chain))
