"""Orthanc with DICOMweb as a process of its own, for the showcase."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators import modality
from deploy.showcase.ohif import LOOPBACK, orthanc_settings

AE_TITLE = AeTitle("ORTHANC")
_FOLDERS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_START_S, _STOP_S, _POLL_S = 60.0, 10.0, 0.2


class Missing(Exception):
    """Orthanc is not installed; the sentence says how to install it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc: its ports for DICOM and HTTP."""

    port: int
    http_port: int

    @property
    def address(self) -> str:
        """The address of its own page."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def find_study(self, study_instance_uid: str) -> str:
        """Return Orthanc's own identifier of a study."""
        request = urllib.request.Request(f"{self.address}/tools/lookup", data=study_instance_uid.encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=_START_S) as answer:  # noqa: S310  # on this host
            return str(next(row["ID"] for row in json.load(answer) if row["Type"] == "Study"))


@contextmanager
def running(folder: Path, *, port: int, http_port: int) -> Iterator[Orthanc]:
    """Run Orthanc in a folder while the block lasts; it begins when it answers C-ECHO.

    Raises
    ------
    Missing
        If it is not installed, or does not start.
    """
    program = shutil.which("Orthanc", path=_FOLDERS)
    if program is None:
        raise Missing("Orthanc is missing; on Debian: apt-get install orthanc orthanc-dicomweb")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(_settings(folder, port, http_port)), encoding="utf-8")
    log = (folder / "orthanc.log").open("w", encoding="utf-8")
    with log, subprocess.Popen([program, settings], stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Missing(f"Orthanc did not start: see {folder / 'orthanc.log'}")
                time.sleep(_POLL_S)
            yield Orthanc(port=port, http_port=http_port)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(port: int) -> bool:
    try:
        modality.echo(host=LOOPBACK, port=port, called_ae_title=AE_TITLE, calling_ae_title=AE_TITLE)
    except ConnectionError:
        return False
    return True


def _settings(folder: Path, port: int, http_port: int) -> dict[str, object]:
    return orthanc_settings() | {
        "Name": "showcase",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": str(AE_TITLE),
        "DicomPort": port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
    }
