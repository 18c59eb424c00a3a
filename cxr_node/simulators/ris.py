"""Simulated RIS: HL7 messages by MLLP on loopback, each Message Control ID filed once; it fails in a chosen way."""

import socketserver
import ssl
import threading
from collections import Counter
from enum import StrEnum

from cxr_node.domain.identifiers import digest_of
from cxr_node.net.mllp import END, START
from cxr_node.simulators.listener import Listener

_STUDY_UID, _REPORT_UID = b"110180^", b"REPORTUID^"
_SILENCE_S = 3.0
"""By then a sender has given up."""


class Mode(StrEnum):
    """What the receiver does with a message."""

    RIGHT = "right"
    ENHANCED = "accept acknowledgment"
    OTHER_ID_FIRST = "acknowledgment of another message first"
    IN_PIECES = "acknowledgment a byte at a time"
    SILENT = "filed without acknowledgment"
    CLOSES = "closes in mid-message"
    GARBAGE = "response that is no HL7"
    HUGE = "response without an end"
    ERROR = "application error"
    REJECTS = "application reject"


_CODES = {Mode.ENHANCED: b"CA", Mode.ERROR: b"AE", Mode.REJECTS: b"AR"}
_FILES_NOT = frozenset({Mode.CLOSES, Mode.ERROR, Mode.REJECTS})


class SimulatedRis(Listener):
    """Listens from `start` to `stop`, at the same port again; `mode` may change at any time."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(_Handler, tls=tls)
        self.mode = Mode.RIGHT
        self.messages: dict[str, bytes] = {}
        """Messages as first filed, by Message Control ID."""
        self.sent: Counter[str] = Counter()
        """How often a message was received whole, by Message Control ID."""
        self.by_study: dict[str, dict[str, str]] = {}
        """Reports of each study by SOP Instance UID, with the digest of the message as first filed."""
        self.changed: list[str] = []
        """Message Control IDs that were sent again with other bytes."""
        self._lock = threading.Lock()

    def file(self, message: bytes, mode: Mode) -> bytes:
        """File a message as the mode says, and return its Message Control ID."""
        identifier = message.split(b"|")[9]
        name = identifier.decode("ascii")
        values = {
            key: line.split(b"|")[5].decode("ascii")
            for line in message.split(b"\r")
            for key in (_STUDY_UID, _REPORT_UID)
            if line.startswith(b"OBX") and line.split(b"|")[3].startswith(key)
        }
        with self._lock:
            self.sent[name] += 1
            if mode not in _FILES_NOT:
                if self.messages.setdefault(name, message) != message:
                    self.changed.append(f"{name} was sent again with other bytes")
                reports = self.by_study.setdefault(values[_STUDY_UID], {})
                reports.setdefault(values[_REPORT_UID], digest_of(message))
        return identifier


class _Handler(socketserver.StreamRequestHandler):
    owner: SimulatedRis
    timeout = 30.0

    def handle(self) -> None:
        """Receive one message after the other, and answer each as the mode says."""
        received = b""
        while part := self.request.recv(4096):
            mode = self.owner.mode
            if mode is Mode.CLOSES:
                return
            received += part
            while END in received:
                block, _, received = received.partition(END)
                identifier = self.owner.file(block.removeprefix(START), mode)
                self._answer(identifier, mode)

    def _answer(self, identifier: bytes, mode: Mode) -> None:
        match mode:
            case Mode.SILENT:
                self.owner.wait(_SILENCE_S)
                return
            case Mode.GARBAGE:
                self._send(START + b"OK" + END)
                return
            case Mode.HUGE:
                self._send(START + b"x" * (1 << 17))
                self.owner.wait(_SILENCE_S)
                return
            case Mode.OTHER_ID_FIRST:
                self._send(_acknowledgment(b"AE", b"ANOTHER"))
        response = _acknowledgment(_CODES.get(mode, b"AA"), identifier)
        if mode is Mode.IN_PIECES:
            for number in range(len(response)):
                self._send(response[number : number + 1])
        else:
            self._send(response)

    def _send(self, content: bytes) -> None:
        self.request.sendall(content)


def _acknowledgment(code: bytes, identifier: bytes) -> bytes:
    error = b"ERR|||207^Application internal error^HL70357|E||||Doe^Jane\r" if code in (b"AE", b"AR") else b""
    head = b"MSH|^~\\&|RIS||CXRNODE||20260131120000||ACK^R01^ACK|1|P|2.5.1\r"
    return START + head + b"MSA|" + code + b"|" + identifier + b"\r" + error + END
