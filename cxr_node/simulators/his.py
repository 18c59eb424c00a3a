"""Simulated HIS: messages ADT that update or merge patients, and their acknowledgments."""

from cxr_node.domain.hl7_text import Repetition, fields_of, segment
from cxr_node.net.mllp import MllpError, MllpServer

ISSUER = "NORTH"
_CONTROL_ID = 9
"""Index of the Message Control ID (MSH-10): the separator is a field too."""


def adt(
    event: str,
    patient_id: str,
    *,
    control_id: str = "M1",
    name: Repetition = ("Filmer", "Testa", "", "", "", "", "L"),
    birth_date: str = "",
    sex: str = "",
    issuer: str = ISSUER,
    prior_id: str = "",
    kind: str = "ADT",
    processing_id: str = "P",
    character_set: str = "UNICODE UTF-8",
) -> bytes:
    """Return a message; with a `prior_id` it has an MRG, whose issuer is the same."""
    authority = ("", "", issuer, "MR")
    segments = [
        segment("MSH", "HIS", "NORTH", "CXRNODE", "", "20260102120000", "", (kind, event), control_id, processing_id,
                "2.5.1", "", "", "", "", "", character_set),
        segment("EVN", event, "20260102120000"),
        segment("PID", "1", "", (patient_id, *authority), "", name, "", birth_date, sex),
        *([segment("MRG", (prior_id, *authority))] if prior_id else []),
        segment("PV1", "1", "U"),
    ]  # fmt: skip
    encoding = {"UNICODE UTF-8": "utf-8", "8859/1": "latin-1"}.get(character_set, "utf-8")
    return "".join(segments).encode(encoding)


def send(message: bytes, port: int, *, timeout_s: float) -> str:
    """Send a message to this machine; return the acknowledgment code (MSA-1), empty without an acknowledgment."""
    control_id = fields_of(message, "MSH")[_CONTROL_ID]
    server = MllpServer(host="127.0.0.1", port=port, timeout_s=timeout_s)
    try:
        response = server.send(message, is_answer=lambda content: fields_of(content, "MSA")[2:3] == [control_id])
    except MllpError:
        return ""
    return fields_of(response, "MSA")[1]
