"""Self-signed certificates of the fault suite, made by the OpenSSL of this machine."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def can_create() -> bool:
    """Whether OpenSSL is on this machine."""
    return shutil.which("openssl") is not None


def create(folder: Path) -> Mapping[str, Path]:
    """Create a self-signed certificate for this machine."""
    files = {"certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    subprocess.run(  # noqa: S603  # the OpenSSL of this machine
        [
            *(shutil.which("openssl") or "openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=fault suite"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(files["key"]), "-out", str(files["certificate"])),
        ],
        check=True,
        capture_output=True,
    )
    return files
