"""ADT messages that update or merge patients, and their acknowledgments (HL7 2.5.1 chapter 3; IHE RAD-12 in form)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cxr_node.domain.film_attributes import cleaned
from cxr_node.domain.hl7_text import segment, timestamp
from cxr_node.domain.patient_update import PatientIdentifier, PatientMessage, PatientUpdate
from cxr_node.receive.hl7_message import MalformedMessage, Repetition, Segment, parse_message, part_of

UPDATES = frozenset({"A08", "A31"})
"""Trigger events that update a patient: of a visit, and without one."""
MERGES = frozenset({"A40", "A47"})
"""Trigger events by which an identifier ceases to exist: merge of patients, and change of an identifier."""

_NAME_GROUPS = ("A", "I", "P")
"""Representation codes of XPN: alphabetic, ideographic and phonetic, as groups of a Person Name."""
_SEXES = {"M": "M", "F": "F", "O": "O", "A": "O"}
"""Administrative Sex (table 0001) as Patient's Sex (0010,0040); others are unknown."""
_MAXIMUM_NAME = 64
"""Characters of a group of a Person Name, and of a Long String (PS3.5 table 6.2-1)."""
_MAXIMUM_SENDER = 100
_DATE = re.compile(r"[0-9]{8}")


class AckCode(StrEnum):
    """Acknowledgment code MSA-1 (table 0008), original mode."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


class ErrorCode(StrEnum):
    """Condition codes of ERR-3 (table 0357) that the node sends."""

    SEGMENT_SEQUENCE = "100"
    REQUIRED_FIELD = "101"
    DATA_TYPE = "102"
    TYPE = "200"
    EVENT = "201"
    PROCESSING_ID = "202"
    DUPLICATE_KEY = "205"
    INTERNAL = "207"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outcome of a message: its acknowledgment code and, unless it is accepted, why, without values of a patient."""

    code: AckCode
    error: ErrorCode | None = None
    text: str = ""


class NotAccepted(Exception):
    """A message is not accepted; `answer` says why."""

    def __init__(self, code: AckCode, error: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.answer = Answer(code=code, error=error, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an acknowledgment needs of the MSH of a message: both sides, its Message Control ID, and its event."""

    sending: tuple[str, str] = ("", "")
    receiving: tuple[str, str] = ("", "")
    control_id: str = ""
    event: str = ""
    processing_id: str = "P"
    version: str = "2.5.1"


def parse_header(content: bytes) -> Header:
    """Return the header of a message, an empty one if it cannot be read: the acknowledgment then names no message."""
    try:
        msh = parse_message(content)[0]
    except MalformedMessage:
        return Header()
    return Header(
        sending=(msh.value(3), msh.value(4)),
        receiving=(msh.value(5), msh.value(6)),
        control_id=msh.value(10),
        event=msh.value(9, 2),
        processing_id=msh.value(11) or "P",
        version=msh.value(12) or "2.5.1",
    )


def acknowledgment(header: Header, answer: Answer, *, own_id: str, at: datetime) -> bytes:
    """Return the acknowledgment of a message; `own_id` is its own Message Control ID."""
    kind: str | tuple[str, ...] = ("ACK", header.event, "ACK") if header.event else "ACK"
    fields = (*header.receiving, *header.sending, timestamp(at), "", kind, own_id, header.processing_id, header.version)
    segments = [segment("MSH", *fields), segment("MSA", answer.code, header.control_id)]
    if answer.error is not None:
        segments.append(segment("ERR", "", "", (answer.error, "", "HL70357"), "E", "", "", "", answer.text))
    return "".join(segments).encode("ascii", errors="replace")


def parse_updates(content: bytes, *, processing_id: str) -> PatientMessage:
    """Return the updates of patients that a message states.

    Raises
    ------
    NotAccepted
        If it is no message that updates or merges patients, or lacks what it needs.
    """
    try:
        segments = parse_message(content)
    except MalformedMessage as error:
        raise NotAccepted(AckCode.REJECT, ErrorCode.SEGMENT_SEQUENCE, str(error)) from None
    msh = segments[0]
    event = msh.value(9, 2)
    if msh.value(9) != "ADT":
        raise NotAccepted(AckCode.REJECT, ErrorCode.TYPE, "messages of this type (MSH-9) are not accepted")
    if event not in UPDATES | MERGES:
        text = f"of ADT the events {', '.join(sorted(UPDATES | MERGES))} are accepted"
        raise NotAccepted(AckCode.REJECT, ErrorCode.EVENT, text)
    if msh.value(11) != processing_id:
        raise NotAccepted(AckCode.REJECT, ErrorCode.PROCESSING_ID, "messages of this Processing ID are not accepted")
    sender = f"{msh.value(3)}|{msh.value(4)}"
    if not msh.value(10) or len(msh.value(10)) > _MAXIMUM_SENDER or len(sender) > _MAXIMUM_SENDER:
        raise NotAccepted(AckCode.REJECT, ErrorCode.REQUIRED_FIELD, "MSH-10 is missing, or MSH-3, 4 or 10 is too long")
    updates = tuple(_updates(segments, is_merge=event in MERGES))
    if not updates:
        raise NotAccepted(AckCode.ERROR, ErrorCode.SEGMENT_SEQUENCE, "it has no PID")
    return PatientMessage(event=event, control_id=msh.value(10), sender=sender, updates=updates)


def _updates(segments: Sequence[Segment], *, is_merge: bool) -> Iterator[PatientUpdate]:
    """Yield the update of each PID; of a merge, each has the MRG that follows it."""
    for place, pid in enumerate(segments):
        if pid.name != "PID":
            continue
        identifiers = _identifiers(pid, 3)
        if not is_merge:
            yield _update(pid, meant=identifiers)
            continue
        following = segments[place + 1 :]
        until = next((number for number, one in enumerate(following) if one.name == "PID"), len(following))
        mrg = next((one for one in following[:until] if one.name == "MRG"), None)
        if mrg is None:
            raise NotAccepted(AckCode.ERROR, ErrorCode.SEGMENT_SEQUENCE, "a PID has no MRG")
        yield _update(pid, meant=_identifiers(mrg, 1), identifiers=identifiers)


def _update(
    pid: Segment, *, meant: tuple[PatientIdentifier, ...], identifiers: tuple[PatientIdentifier, ...] = ()
) -> PatientUpdate:
    return PatientUpdate(
        meant=meant, identifiers=identifiers, name=_name(pid), birth_date=_birth_date(pid), sex=_sex(pid)
    )


def _identifiers(segment: Segment, number: int) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers (CX) of a field: ID, and namespace or universal ID of the assigning authority."""
    identifiers = tuple(
        PatientIdentifier(
            patient_id=_long_string(part_of(one, 1)),
            issuer=_long_string(part_of(one, 4) or part_of(one, 4, 2)),
        )
        for one in segment.repetitions(number)
        if part_of(one, 1)
    )
    if not identifiers:
        text = f"{segment.name}-{number} has no identifier of the patient"
        raise NotAccepted(AckCode.ERROR, ErrorCode.REQUIRED_FIELD, text)
    return identifiers


def _long_string(text: str) -> str:
    """Return a text as a Long String (LO)."""
    value = cleaned(text, characters=_MAXIMUM_NAME + 1)
    if "\\" in value or len(value) > _MAXIMUM_NAME:
        raise NotAccepted(AckCode.ERROR, ErrorCode.DATA_TYPE, "an identifier is none that DICOM has (VR LO)")
    return value


def _name(pid: Segment) -> str | None:
    """Return the name (XPN) as a Person Name; a group for each representation, the legal name before others."""
    if pid.is_deleted(5):
        return ""
    groups: dict[str, str] = {}
    for one in sorted(pid.repetitions(5), key=lambda one: part_of(one, 7) not in ("", "L")):
        group = _person_name(one)
        if group:
            groups.setdefault(part_of(one, 8) or _NAME_GROUPS[0], group)
    if not groups:
        return None
    return "=".join(groups.get(code, "") for code in _NAME_GROUPS).rstrip("=")


def _person_name(name: Repetition) -> str:
    """Return a group of a Person Name: family, given, middle, prefix, suffix (PS3.5 section 6.2.1.1)."""
    parts = [cleaned(part_of(name, component), characters=2 * _MAXIMUM_NAME) for component in (1, 2, 3, 5, 4)]
    group = "^".join(parts).rstrip("^")
    if len(group) > _MAXIMUM_NAME or any(sign in part for part in parts for sign in "\\^="):
        raise NotAccepted(AckCode.ERROR, ErrorCode.DATA_TYPE, "the name is none that DICOM has (VR PN)")
    return group


def _birth_date(pid: Segment) -> str | None:
    """Return the date (TS) as DA; None if it is not stated, or only to the month."""
    if pid.is_deleted(7):
        return ""
    text = pid.value(7)[:8]
    if not _DATE.fullmatch(text):
        return None
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  # a date without a time
    except ValueError:
        raise NotAccepted(AckCode.ERROR, ErrorCode.DATA_TYPE, "the birth date is none") from None
    return text


def _sex(pid: Segment) -> str | None:
    """Return the sex; None if it is not stated, or unknown."""
    return "" if pid.is_deleted(8) else _SEXES.get(pid.value(8))
