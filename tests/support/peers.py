"""Real and misbehaving peers.

Programs are called by absolute path: the pynetdicom wheel installs scripts of the same names as DCMTK's.
"""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

LOOPBACK = "127.0.0.1"
VERIFICATION = "1.2.840.10008.1.1"
STORAGE = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image, For Presentation
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
)

PACKAGES = {
    "storescu": "dcmtk",
    "echoscu": "dcmtk",
    "storescp": "dcmtk",
    "dsrdump": "dcmtk",
    "dsr2html": "dcmtk",
    "dcmdump": "dcmtk",
    "dcm2pnm": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmdjpeg": "dcmtk",
    "curl": "curl",
    "dcmcjpls": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmpschk": "dcmtk",
    "dcmconv": "dcmtk",
    "dcm2pdf": "dcmtk",
    "dcmmkdir": "dcmtk",
    "dcmqridx": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "gdcmconv": "libgdcm-tools",
    "Orthanc": "orthanc",
    "chromium": "chromium",
    "chromium-headless-shell": "chromium-headless-shell",
    "java": "default-jre-headless",
    "caddy": "caddy",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "rsyslogd": "rsyslog-gnutls",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
}
"""Program to the Debian package that holds it."""

_FOLDERS = (Path("/usr/bin"), Path("/usr/sbin"))
PIXELMED_JAR = Path("/usr/share/java/pixelmed.jar")


def program(name: str) -> Path:
    """Return the absolute path of the peer `name`; skip the test where it is missing, fail it under CI=true."""
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    return missing(name, PACKAGES[name])


def pixelmed_jar() -> Path:
    """Return the path of PixelMed's jar; skip where it is missing, fail under CI=true."""
    return PIXELMED_JAR if PIXELMED_JAR.is_file() else missing("PixelMed", "libpixelmed-java")


def missing(name: str, package: str) -> Path:
    """Skip the test, as a peer is missing; fail it under CI=true."""
    sentence = f"{name} is not installed (Debian package {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def free_port() -> int:
    """Return a loopback port that was free a moment ago, for peers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], *, what: str, timeout_s: float = 30.0, pause_s: float = 0.02) -> None:
    """Return as soon as `condition` holds for another process; fail the test if it does not within `timeout_s`.

    It is looked at every `pause_s`: longer where looking costs what the other process needs.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {timeout_s:.0f} s")
        pause.wait(pause_s)


def echoscu(port: int, *, called: str = "CXRNODE", calling: str = "ECHOSCU") -> CompletedProcess[str]:
    """Run DCMTK's echoscu, verbose, and return its exit status and output."""
    return run("echoscu", "-v", "-aet", calling, "-aec", called, LOOPBACK, str(port))


def storescu(
    port: int, *films: Path, called: str = "CXRNODE", calling: str = "STORESCU", options: Sequence[str] = ()
) -> CompletedProcess[str]:
    """Run DCMTK's storescu, verbose and as shipped (Nagle's algorithm on), and return its exit status and output."""
    return run("storescu", "-v", "-aet", calling, "-aec", called, *options, LOOPBACK, str(port), *map(str, films))


def run(name: str, *arguments: str) -> CompletedProcess[str]:
    """Run the peer `name` to its end."""
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScp:
    """A running DCMTK storescp that stores received objects in `folder` unchanged."""

    port: int
    folder: Path
    ae_title: str = "STORESCP"

    def files(self) -> list[Path]:
        """Return the received files."""
        return sorted(self.folder.iterdir())


@contextmanager
def storescp(folder: Path, *options: str, secure: bool = False) -> Iterator[StoreScp]:
    """Run DCMTK's storescp on a free port, ready when the block is entered; `secure` if its options are for TLS."""
    peer = StoreScp(port=free_port(), folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        program("storescp"),
        "+B",
        "-aet",
        peer.ae_title,
        "-od",
        folder,
        *options,
        str(peer.port),
    ]

    def answers() -> bool:
        return _connects(peer.port) if secure else echoscu(peer.port, called=peer.ae_title).returncode == 0

    with running(command):
        until(answers, what="an answer of storescp")
        yield peer


def _connects(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 10).close()
    except ConnectionRefusedError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc."""

    port: int
    http_port: int
    ae_title: str = "ORTHANC"

    def get(self, path: str) -> object:
        """Return the JSON response of the REST resource `path`."""
        with urllib.request.urlopen(self._url(path), timeout=30) as answer:  # noqa: S310  # a loopback URL
            return json.load(answer)

    def send(self, method: str, path: str, body: object) -> dict[str, str]:
        """Send JSON to the REST resource `path`, and return its response, empty if there is none."""
        content = json.dumps(body).encode()
        request = urllib.request.Request(self._url(path), data=content, method=method)  # noqa: S310  # as above
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # a loopback URL
            response: dict[str, str] = json.loads(answer.read() or b"{}")
        return response

    def find(self, sop_instance_uid: str) -> list[str]:
        """Return Orthanc's own identifiers of the instances with this SOP Instance UID."""
        request = urllib.request.Request(self._url("/tools/lookup"), data=sop_instance_uid.encode())  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # a loopback URL
            return [entry["ID"] for entry in json.load(answer) if entry["Type"] == "Instance"]

    def query(self, level: str, query: Mapping[str, str]) -> list[str]:
        """Return Orthanc's own identifiers of what has these values of attributes."""
        content = json.dumps({"Level": level, "Query": query}).encode()
        request = urllib.request.Request(self._url("/tools/find"), data=content)  # noqa: S310  # a loopback URL
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # a loopback URL
            return [str(identifier) for identifier in json.load(answer)]

    def content(self, identifier: str) -> bytes:
        """Return the DICOM file of an instance by Orthanc's own identifier."""
        with urllib.request.urlopen(self._url(f"/instances/{identifier}/file"), timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
        return content

    def file(self, sop_instance_uid: str) -> bytes:
        """Return the DICOM file of the one instance with this SOP Instance UID, as Orthanc keeps it."""
        (identifier,) = self.find(sop_instance_uid)
        return self.content(identifier)

    def _url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.http_port}{path}"


@contextmanager
def orthanc(folder: Path, *, settings: Mapping[str, object] | None = None) -> Iterator[Orthanc]:
    """Run an Orthanc of its own in `folder`, ready when the block is entered; `settings` are Orthanc's keys."""
    peer = Orthanc(port=free_port(), http_port=free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": peer.ae_title,
        "DicomPort": peer.port,
        "HttpPort": peer.http_port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        **(settings or {}),
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with running([program("Orthanc"), file]):
        until(
            lambda: echoscu(peer.port, called=peer.ae_title).returncode == 0, what="an answer of Orthanc", timeout_s=120
        )
        yield peer


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[None]:
    """Run a program until the end of the block; it inherits `descriptors`."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=cwd,
        env=environment,
        pass_fds=descriptors,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def line(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port without DICOM: each connection is passed to `serve`, then closed."""
    listener = socket.create_server((LOOPBACK, 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def connected(port: int) -> socket.socket:
    """Return a connection to a port, with a time-out."""
    return socket.create_connection((LOOPBACK, port), timeout=20)
