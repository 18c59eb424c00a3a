"""HL7 messages on patients, as a HIS sends them."""

from cxr_node.domain.hl7_text import Repetition, segment

ISSUER = "NORTH"


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
