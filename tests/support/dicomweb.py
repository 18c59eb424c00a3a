"""A DICOMweb server of a node in this process, and requests of any form."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from sqlalchemy import func, select

from cxr_node.archive.integrity import is_intact
from cxr_node.config import load
from cxr_node.db.tables import film as film_table
from cxr_node.domain.permissions import Permissions
from cxr_node.ops.tokens import TokenAdministration
from cxr_node.receive.events import ReceiveEvent
from cxr_node.wiring import startup
from cxr_node.wiring.dicomweb import dicomweb
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from tests.support.peers import LOOPBACK
from tests.support.running_node import settings_file

SENDER = "WEB1"
BOUNDARY = "a-boundary"
DICOM = "application/dicom"
MULTIPART = f'multipart/related; type="{DICOM}"; boundary={BOUNDARY}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A DICOMweb server, and the port of C-STORE beside it."""

    process: Process
    port: int
    dicom_port: int
    token: str
    scheme: str = "http"
    events: list[ReceiveEvent] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{self.scheme}://{LOOPBACK}:{self.port}/dicomweb"

    def token_of(self, name: str, **permissions: bool) -> str:
        """Make an API token."""
        administration = TokenAdministration(process=self.process, by="test")
        return administration.add(name, Permissions(**permissions), days=1)  # type: ignore[arg-type]  # by name

    def request(
        self,
        method: str = "POST",
        path: str = "/studies",
        *,
        content: bytes | Iterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        token: str = "",
    ) -> httpx.Response:
        """Send a request."""
        fields = {"Authorization": f"Bearer {token or self.token}", "Content-Type": MULTIPART, **(headers or {})}
        return httpx.request(method, f"{self.url}{path}", content=content, headers=fields, timeout=30, trust_env=False)

    def store(self, *files: bytes, path: str = "/studies") -> httpx.Response:
        """Store files in one request."""
        return self.request(content=body(*files), path=path)

    def count(self) -> int:
        """Return the number of films."""
        with self.process.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(film_table)).scalar_one())

    def stored(self) -> dict[str, str]:
        """Return the SOP Instance UIDs of all films whose bytes are archived intact, with their calling AE title."""
        with self.process.database.read() as connection:
            rows = connection.execute(select(film_table)).mappings().all()
        archive = self.process.archive
        return {
            row["sop_instance_uid"]: row["calling_ae_title"]
            for row in rows
            if is_intact(archive.get(row["archive_key"]), row["digest"])
        }


@contextmanager
def entrance(
    folder: Path, *, more: str = "", receive: str = "", settings: str = "", reserve_bytes: int = 0
) -> Iterator[Entrance]:
    """Serve DICOMweb during the block. `settings` are lines of [dicomweb], `receive` of [receive], `more` tables."""
    section = f'[dicomweb]\nenabled = true\nport = 0\nsenders = ["{SENDER}"]\n{settings}'
    config = settings_file(folder, more=f"{section}\n{more}")
    text = config.read_text("utf-8").replace("[receive]\n", f"[receive]\n{receive}\n")
    config.write_text(text.replace("reserve_bytes = 0", f"reserve_bytes = {reserve_bytes}"), "utf-8")
    events: list[ReceiveEvent] = []
    with Process.open(load(config), is_audited=True) as process:
        startup.prepare(process)
        token = TokenAdministration(process=process, by="test").add(SENDER, Permissions(), days=1)
        with receiver(process, on_event=events.append) as scp, dicomweb(process, scp, on_event=events.append) as server:
            yield Entrance(
                process=process,
                port=server.address[1],
                dicom_port=scp.port,
                token=token,
                scheme="https" if "tls_key" in settings else "http",
                events=events,
            )


def file_of(film: Dataset) -> bytes:
    """Return a film as a DICOM file."""
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def body(*files: bytes, boundary: str = BOUNDARY, content_type: str = DICOM, closing: str = "--") -> bytes:
    """Return the multipart body of files."""
    head = f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}{closing}\r\n".encode()


def verdicts(response: httpx.Response) -> dict[str, int]:
    """Return the verdict by SOP Instance UID: 0, or the Failure Reason; of parts without UIDs the last by ""."""
    module = json.loads(response.content)
    stored = {_uid(item): 0 for item in _items(module, "00081199")}
    failed = {_uid(item): item["00081197"]["Value"][0] for item in _items(module, "00081198")}
    others = [item["00081197"]["Value"][0] for item in _items(module, "0008119A")]
    return {**stored, **failed, **({"": others[-1]} if others else {})}


def _items(module: Mapping[str, Any], tag: str) -> Sequence[Mapping[str, Any]]:
    items: Sequence[Mapping[str, Any]] = module.get(tag, {}).get("Value", [])
    return items


def _uid(item: Mapping[str, Any]) -> str:
    return str(item["00081155"]["Value"][0])
