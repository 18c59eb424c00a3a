"""Simulated DICOMweb server: STOW-RS, QIDO-RS and WADO-RS on loopback, strict, and failing in a chosen way."""

import json
import re
import ssl
import threading
from collections import Counter
from enum import StrEnum

from cxr_node.domain.element_values import transfer_syntax_and_data_set, values_of
from cxr_node.domain.identifiers import digest_of
from cxr_node.simulators.http_handler import HttpHandler
from cxr_node.simulators.token_listener import TokenListener

ALREADY_STORED, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 45070, 0xA700, 0xC000
_HUGE = 1 << 21
_SILENCE_S = 3.0
"""By then a client has given up."""
_TYPE = re.compile(r'multipart/related; type="application/dicom"; boundary=([A-Za-z0-9-]{1,70})')
_PART = b"Content-Type: application/dicom\r\n\r\n"
_SOP_CLASS, _SOP_INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_UIDS = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY})
_JSON, _XML = "application/dicom+json", "application/dicom+xml"


class Mode(StrEnum):
    """What the server does with a STOW-RS request."""

    RIGHT = "right"
    XML = "response in XML"
    WARNING = "stored with a warning, status 202"
    LOSES = "stored by the response, and not stored"
    ALREADY = "failed as already stored, status 409"
    RESOURCES = "failed for lack of resources, status 409"
    REJECTS = "failed as not understood, status 409"
    NAMES_NOTHING = "status 200, and names no instance"
    PAGE = "status 200 with a page in HTML"
    HUGE = "response beyond the limit"
    TRUNCATED = "truncated"
    SILENT = "no response"
    CLOSES = "closes before the body"
    REDIRECTS = "redirects"
    EXPIRED = "status 401"
    STATUS_500 = "status 500"
    STATUS_503 = "status 503 with Retry-After"


_STATUSES = {Mode.REDIRECTS: 307, Mode.EXPIRED: 401, Mode.STATUS_500: 500, Mode.STATUS_503: 503}
_FAILURES = {
    Mode.ALREADY: ALREADY_STORED,
    Mode.RESOURCES: OUT_OF_RESOURCES,
    Mode.REJECTS: CANNOT_UNDERSTAND,
}


class SimulatedDicomWeb(TokenListener):
    """Listens from `start` to `stop`, at the same port again; `mode` may change at any time; see `TokenListener`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, authorization: str = "", client: str = "") -> None:
        super().__init__(_Handler, tls=tls, authorization=authorization, client=client)
        self.mode = Mode.RIGHT
        self.requests: Counter[Mode] = Counter()
        self.sent: Counter[str] = Counter()
        """Number of STOW-RS requests by SOP Instance UID."""
        self.by_study: dict[str, dict[str, str]] = {}
        """Instances of each study, with the digest of the data set as first stored."""
        self.changed: list[str] = []
        """Instances that were sent again with another data set."""
        self.files: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"{self.web_address}/dicom-web"

    def store(self, file: bytes, mode: Mode) -> tuple[str, str]:
        """Store a file as the mode says, and return its SOP Class and Instance UID."""
        syntax, data_set = transfer_syntax_and_data_set(file)
        values = values_of(data_set, _UIDS, transfer_syntax_uid=syntax, required=_UIDS)
        sop_class, uid, study = (values[tag].decode("ascii").rstrip("\0 ") for tag in sorted(_UIDS))
        with self._lock:
            self.sent[uid] += 1
            digest = digest_of(data_set)
            if mode not in (Mode.LOSES, Mode.RESOURCES, Mode.REJECTS, Mode.NAMES_NOTHING):
                if self.by_study.setdefault(study, {}).setdefault(uid, digest) != digest:
                    self.changed.append(f"{uid} was sent again with another data set")
                self.files.setdefault(uid, file)
        return sop_class, uid


class _Handler(HttpHandler):
    owner: SimulatedDicomWeb

    def do_GET(self) -> None:
        """Answer QIDO-RS for instances and studies, and WADO-RS of an instance or its metadata."""
        self.owner.headers.append(dict(self.headers.items()))
        if not self.owner.permits(self.headers.get("Authorization")):
            self.respond(401)
            return
        path, _, query = self.path.partition("?")
        wanted = re.fullmatch(r"/dicom-web/(?:.*/)?instances/([0-9.]+)(/metadata)?", path)
        if path.endswith("/studies"):
            self.respond(204)
        elif wanted is None and path != "/dicom-web/instances":
            self.respond(404)
        elif wanted is None:
            uid = re.findall(r"SOPInstanceUID=([0-9.]+)", query)
            self._answer_json([_instance(one) for one in uid if one in self.owner.files])
        elif wanted[1] not in self.owner.files:
            self.respond(404)
        elif wanted[2]:
            self._answer_json([_instance(wanted[1])])
        else:
            body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + self.owner.files[wanted[1]] + b"\r\n--b--\r\n"
            self.respond(200, body, "multipart/related; type=application/dicom; boundary=b")

    def do_POST(self) -> None:
        """Answer a token request, or STOW-RS as the mode says."""
        owner, mode = self.owner, self.owner.mode
        if self.path == "/token":
            form = self.rfile.read(int(self.headers["Content-Length"]))
            self.respond(*owner.token_response(self.headers.get("Authorization"), form), _JSON)
            return
        owner.headers.append(dict(self.headers.items()))
        owner.requests[mode] += 1
        if mode is Mode.CLOSES:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if mode is Mode.SILENT:
            owner.wait(_SILENCE_S)
            return
        if not self.owner.permits(self.headers.get("Authorization")) or mode in _STATUSES:
            self.respond(_STATUSES.get(mode, 401), b"{}")
            return
        file = self._part(body)
        if file is None or self.path != "/dicom-web/studies":
            self.respond(400)
            return
        self._answer_store(file, mode)

    def _answer_store(self, file: bytes, mode: Mode) -> None:
        try:
            names = self.owner.store(file, mode)
        except ValueError:
            self._answer_json({"00081198": _sequence(("", ""), "00081197", CANNOT_UNDERSTAND)}, 409)
            return
        match mode:
            case Mode.ALREADY | Mode.RESOURCES | Mode.REJECTS:
                self._answer_json({"00081198": _sequence(names, "00081197", _FAILURES[mode])}, 409)
            case Mode.WARNING:
                self._answer_json({"00081199": _sequence(names, "00081196", 0xB000)}, 202)
            case Mode.XML:
                self.respond(200, _xml(names), _XML)
            case Mode.NAMES_NOTHING:
                self._answer_json({})
            case Mode.PAGE:
                self.respond(200, b"<html>Log in</html>", "text/html")
            case Mode.HUGE:
                self._answer_json({"00081199": _sequence(names), "pad": "x" * _HUGE})
            case _:
                self._answer_json({"00081199": _sequence(names)}, is_cut=mode is Mode.TRUNCATED)

    def _part(self, body: bytes) -> bytes | None:
        """Return the one part of a body in the form of PS3.18 section 8.6.1.2; None for another."""
        stated = _TYPE.fullmatch(self.headers.get("Content-Type", ""))
        if stated is None:
            return None
        head, tail = f"--{stated[1]}\r\n".encode() + _PART, f"\r\n--{stated[1]}--\r\n".encode()
        is_one = body.startswith(head) and body.endswith(tail) and body.count(f"--{stated[1]}".encode()) == 2
        return body[len(head) : -len(tail)] if is_one else None

    def _answer_json(self, document: object, status: int = 200, *, is_cut: bool = False) -> None:
        self.respond(status, json.dumps(document).encode(), _JSON, is_cut=is_cut)


def _instance(uid: str) -> dict[str, object]:
    return {"00080018": {"vr": "UI", "Value": [uid]}}


def _sequence(names: tuple[str, str], tag: str = "", reason: int = 0) -> dict[str, object]:
    sop_class, uid = names
    item: dict[str, object] = {}
    if uid:
        item = {"00081150": {"vr": "UI", "Value": [sop_class]}, "00081155": {"vr": "UI", "Value": [uid]}}
    if tag:
        item[tag] = {"vr": "US", "Value": [reason]}
    return {"vr": "SQ", "Value": [item]}


def _xml(names: tuple[str, str]) -> bytes:
    sop_class, uid = names
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
  <DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">
    <DicomAttribute tag="00081150" vr="UI"><Value number="1">{sop_class}</Value></DicomAttribute>
    <DicomAttribute tag="00081155" vr="UI"><Value number="1">{uid}</Value></DicomAttribute>
  </Item></DicomAttribute>
</NativeDicomModel>""".encode()
