"""The certificates that the settings name, and when they end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from cxr_node.settings.results import CStoreSection
from cxr_node.settings.root import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate file: the setting that names it, when the first in it ends, or why that is not known."""

    setting: str
    path: Path
    not_after: datetime | None
    fault: str = ""


def certificates(settings: Settings) -> list[Certificate]:
    """Return every certificate that the settings name."""
    return [_read(setting, Path(name)) for setting, name in _named(settings) if name]


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "receive.tls_certificate", settings.receive.tls_certificate
    yield "receive.tls_peers_ca", settings.receive.tls_peers_ca
    for destination in settings.deliver.destinations:
        if isinstance(destination, CStoreSection):
            yield f"destination {destination.name} tls_ca", destination.tls_ca
            yield f"destination {destination.name} tls_certificate", destination.tls_certificate
    for asker in settings.receive.commitment_peers:
        yield f"asker {asker.ae_title} tls_ca", asker.tls_ca
        yield f"asker {asker.ae_title} tls_certificate", asker.tls_certificate


def _read(setting: str, path: Path) -> Certificate:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return Certificate(setting=setting, path=path, not_after=None, fault=error.strerror or type(error).__name__)
    except ValueError:
        return Certificate(setting=setting, path=path, not_after=None, fault="no PEM certificate in it")
    return Certificate(setting=setting, path=path, not_after=min(each.not_valid_after_utc for each in found))
