"""What PS3.15 section A.5.1 demands of an audit message, as a table: attributes and children of each element."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

TOKEN = None
"""Any text without a line end, and without spaces at its ends or two in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Attributes with the values they may have, those that must be there; children in order, with how often."""

    attributes: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    required: Sequence[str] = ()
    children: Sequence[tuple[str, int, int]] = ()


MANY = 10_000
CODED = Rule(
    attributes={"csd-code": TOKEN, "codeSystemName": TOKEN, "displayName": TOKEN, "originalText": TOKEN},
    required=("csd-code", "codeSystemName", "originalText"),
)
BOOLEAN = ("true", "false")
NUMBERS = tuple(str(number) for number in range(1, 27))

RULES = {
    "AuditMessage": Rule(
        children=(
            ("EventIdentification", 1, 1),
            ("ActiveParticipant", 1, MANY),
            ("AuditSourceIdentification", 1, 1),
            ("ParticipantObjectIdentification", 0, MANY),
        )
    ),
    "EventIdentification": Rule(
        attributes={
            "EventActionCode": ("C", "R", "U", "D", "E"),
            "EventDateTime": TOKEN,
            "EventOutcomeIndicator": ("0", "4", "8", "12"),
        },
        required=("EventDateTime", "EventOutcomeIndicator"),
        children=(("EventID", 1, 1), ("EventTypeCode", 0, MANY), ("EventOutcomeDescription", 0, 1)),
    ),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "EventOutcomeDescription": Rule(),
    "ActiveParticipant": Rule(
        attributes={
            "UserID": TOKEN,
            "AlternativeUserID": TOKEN,
            "UserName": TOKEN,
            "UserIsRequestor": BOOLEAN,
            "NetworkAccessPointID": TOKEN,
            "NetworkAccessPointTypeCode": NUMBERS[:5],
        },
        required=("UserID", "UserIsRequestor"),
        children=(("RoleIDCode", 0, MANY), ("MediaIdentifier", 0, 1)),
    ),
    "RoleIDCode": CODED,
    "MediaIdentifier": Rule(children=(("MediaType", 1, 1),)),
    "MediaType": CODED,
    "AuditSourceIdentification": Rule(
        attributes={"AuditEnterpriseSiteID": TOKEN, "AuditSourceID": TOKEN},
        required=("AuditSourceID",),
        children=(("AuditSourceTypeCode", 0, MANY),),
    ),
    "AuditSourceTypeCode": Rule(attributes={"csd-code": NUMBERS[:9]}, required=("csd-code",)),
    "ParticipantObjectIdentification": Rule(
        attributes={
            "ParticipantObjectID": TOKEN,
            "ParticipantObjectTypeCode": NUMBERS[:4],
            "ParticipantObjectTypeCodeRole": NUMBERS,
        },
        required=("ParticipantObjectID",),
        children=(
            ("ParticipantObjectIDTypeCode", 1, 1),
            ("ParticipantObjectName", 0, 1),
            ("ParticipantObjectQuery", 0, 1),
            ("ParticipantObjectDetail", 0, MANY),
            ("ParticipantObjectDescription", 0, MANY),
        ),
    ),
    "ParticipantObjectIDTypeCode": CODED,
    "ParticipantObjectName": Rule(),
    "ParticipantObjectQuery": Rule(),
    "ParticipantObjectDetail": Rule(attributes={"type": TOKEN, "value": TOKEN}, required=("type", "value")),
    "ParticipantObjectDescription": Rule(children=(("Accession", 0, MANY), ("SOPClass", 0, MANY))),
    "Accession": Rule(attributes={"Number": TOKEN}, required=("Number",)),
    "SOPClass": Rule(
        attributes={"UID": TOKEN, "NumberOfInstances": TOKEN},
        required=("NumberOfInstances",),
        children=(("Instance", 0, MANY),),
    ),
    "Instance": Rule(attributes={"UID": TOKEN}, required=("UID",)),
}


def read(line: str) -> Element:
    """Parse an audit message; fail the test if it breaks a rule."""
    root = fromstring(line)  # noqa: S314  # written by the node
    problems = list(faults(root))
    assert problems == [], line
    return root


def faults(root: Element) -> list[str]:
    """Return the faults of a message."""
    if root.tag != "AuditMessage":
        return [f"{root.tag} is no message"]
    problems = [fault for element in root.iter() for fault in _element_faults(element)]
    times = [element.get("EventDateTime", "") for element in root.iter("EventIdentification")]
    problems += ["a time without a zone" for at in times if datetime.fromisoformat(at).tzinfo is None]
    problems += [
        "not just one of name and query"
        for element in root.iter("ParticipantObjectIdentification")
        if (element.find("ParticipantObjectName") is None) == (element.find("ParticipantObjectQuery") is None)
    ]
    for value in [detail.get("value", "") for detail in root.iter("ParticipantObjectDetail")]:
        base64.b64decode(value, validate=True)
    return problems


def _element_faults(element: Element) -> list[str]:
    rule = RULES.get(element.tag)
    if rule is None:
        return [f"no such element: {element.tag}"]
    problems = [f"{element.tag} lacks {name}" for name in rule.required if name not in element.attrib]
    for name, value in element.attrib.items():
        if name not in rule.attributes:
            problems.append(f"{element.tag} has no {name}")
        elif (allowed := rule.attributes[name]) is not None and value not in allowed:
            problems.append(f"{element.tag} {name} cannot be {value}")
        elif value != " ".join(value.split()) or not value:
            problems.append(f"{element.tag} {name} is no token: {value!r}")
    return problems + _children_faults(element, rule)


def _children_faults(element: Element, rule: Rule) -> list[str]:
    names = [child.tag for child in element]
    order = [name for name, _, _ in rule.children]
    if unknown := [name for name in names if name not in order]:
        return [f"{element.tag} holds {unknown}"]
    problems = [] if names == sorted(names, key=order.index) else [f"{element.tag}: {names} out of order"]
    for name, least, most in rule.children:
        if not least <= names.count(name) <= most:
            problems.append(f"{element.tag} has {names.count(name)} {name}")
    return problems


def recorded(folder: Path, event: str) -> list[Element]:
    """Return the messages of an event out of a trail's folder."""
    lines = [line for path in folder.glob("audit-*.xml") for line in path.read_text(encoding="utf-8").splitlines()]
    messages = [read(line) for line in lines]
    return [message for message in messages if message.find(f".//EventID[@csd-code='{event}']") is not None]
