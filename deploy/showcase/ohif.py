"""The viewer OHIF as npm publishes it, served beside an Orthanc's DICOMweb.

OHIF is not of this project and no dependency of it: its release is fetched once into an ignored folder, and its digest
is compared. Where it cannot be fetched, `Unavailable` says why.
"""

import base64
import hashlib
import http.client
import json
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = "3.13.2"
SHA_512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Of the package @ohif/app, in base64, as npm states it."""
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
FOLDER = ROOT / f".ohif-{VERSION}"
_FETCH_S = 600
_OMITTED = (".map", "/ort/", "/dicom-microscopy-viewer/")
"""Of 200 MB: source maps, and what no film needs."""

_ROOT = "/dicom-web"
_CONTAINER = ROOT / "deploy" / "container"
"""Settings of OHIF and Orthanc in the compose file, which serve here too."""


class Unavailable(Exception):
    """OHIF or the plug-in of Orthanc is not on this machine and cannot be fetched."""


def ohif() -> Path:
    """Return the folder of OHIF's files, fetched from npm the first time.

    Raises
    ------
    Unavailable
        If it was not fetched before, and npm is missing or cannot fetch it.
    """
    if not DICOMWEB_PLUGIN.exists():
        raise Unavailable(f"{DICOMWEB_PLUGIN} is missing; on Debian: apt-get install orthanc-dicomweb")
    if not FOLDER.is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("npm is missing; on Debian: apt-get install npm")
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".ohif-") as scratch:
            _unpack(_packed(npm, Path(scratch)), Path(scratch) / "unpacked")
            (Path(scratch) / "unpacked").rename(FOLDER)
    return FOLDER


def _packed(npm: str, folder: Path) -> Path:
    """Return the package of OHIF, fetched into `folder`, with the pinned digest."""
    command = [npm, "pack", f"@ohif/app@{VERSION}", "--silent"]
    try:
        fetched = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_FETCH_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"npm did not fetch @ohif/app@{VERSION} within {_FETCH_S} s") from error
    if fetched.returncode != 0:
        raise Unavailable(f"npm cannot fetch @ohif/app@{VERSION}: {fetched.stderr.strip()[-200:]}")
    (package,) = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if digest != SHA_512:
        raise ValueError(f"@ohif/app@{VERSION} has the SHA-512 {digest}, not {SHA_512}")
    return package


def _unpack(package: Path, folder: Path) -> None:
    with tarfile.open(package) as archive:
        members = [
            member
            for member in archive.getmembers()
            if member.name.startswith("package/dist/") and not any(part in member.name for part in _OMITTED)
        ]
        for member in members:
            member.name = member.name.removeprefix("package/dist/")
        # Python 3.11.2, which Debian 12 has, knows no filter; the package has the pinned digest.
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, members=members, **options)  # noqa: S202


@contextmanager
def served(folder: Path, orthanc_http_port: int, *, port: int = 0, root: str = _ROOT) -> Iterator[str]:
    """Serve OHIF, with the DICOMweb of an Orthanc beside it; the value is its address. Port 0 is any free one.

    `root` is the URL of another DICOMweb server, which the viewer asks itself.
    """

    class Handler(_Handler):
        orthanc_port = orthanc_http_port
        files = folder
        configuration = (_CONTAINER / "ohif.js").read_text(encoding="utf-8").replace(f'"{_ROOT}"', f'"{root}"')

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(SimpleHTTPRequestHandler):
    """Files of OHIF, its one page under every other path, and requests to `/dicom-web` passed on to Orthanc."""

    orthanc_port: int
    files: Path
    configuration: str

    def do_GET(self) -> None:
        """Answer from Orthanc, the configuration, or a file."""
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web"):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", self.configuration.encode())
        else:
            file = self.files / path.lstrip("/")
            if ".." in path or not file.is_file():
                self.path = "/index.html"
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """Return the file of a path of the address."""
        return str(self.files / path.partition("?")[0].lstrip("/"))

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""

    def _pass_on(self) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self.orthanc_port, timeout=60)
        # Addresses in Orthanc's answers are those of this server.
        forwarded = f"host={self.headers['Host']};proto=http"
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Forwarded": forwarded}
        connection.request("GET", self.path, headers=headers)
        answer = connection.getresponse()
        self._answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        connection.close()

    def _answer(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def orthanc_settings() -> dict[str, object]:
    """Return the settings of Orthanc in the compose file, its places and ports among them, with DICOMweb."""
    settings: dict[str, object] = json.loads((_CONTAINER / "orthanc.json").read_text(encoding="utf-8"))
    return settings | {"Plugins": [str(DICOMWEB_PLUGIN)]}


def dicomweb_settings() -> dict[str, object]:
    """Return those of its settings that concern DICOMweb, and the encoding of answers to queries.

    Orthanc's own default, Latin 1, loses ideographic names.
    """
    settings = orthanc_settings()
    return {name: settings[name] for name in ("Plugins", "DicomWeb", "DefaultEncoding")}
