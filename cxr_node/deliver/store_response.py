"""Store Instances Response of STOW-RS: the verdict on one instance (PS3.18 section 10.5.3), in JSON or XML.

The verdict is the place of the instance in Referenced or Failed SOP Sequence, never the HTTP status: servers answer 409
for an instance that they have, and 200 for one that they did not store.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from cxr_node.deliver.outcome import DeliveryOutcome, of_status
from cxr_node.domain.identifiers import Uid

_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE = "00081199", "00081198"
_SOP_INSTANCE_UID, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"

ALREADY_STORED, BEING_STORED = 45070, 45071
"""Failure Reasons of Microsoft's server. In C-STORE their range, 0xB00E and 0xB00F, would be that of warnings."""

KNOWN_FAILURES: Mapping[int, DeliveryOutcome] = {
    0x0111: DeliveryOutcome.DELIVERED,  # Duplicate SOP Instance: the UID follows from the content
    ALREADY_STORED: DeliveryOutcome.DELIVERED,
    BEING_STORED: DeliveryOutcome.RETRY,
}

Item = Mapping[str, Sequence[str | int]]
"""Values of an item of a sequence by tag, eight hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether an instance is stored; `reason` is its Warning or Failure Reason, 0 for none."""

    is_stored: bool
    reason: int = 0


def of_failure_reason(reason: int, further: Mapping[int, DeliveryOutcome]) -> DeliveryOutcome:
    """Return the outcome of a Failure Reason (0008,1197): `further` first, then those known, then as in C-STORE."""
    known = further.get(reason, KNOWN_FAILURES.get(reason))
    if known is not None:
        return known
    outcome = of_status(reason)
    # A warning or success in the Failed SOP Sequence contradicts itself: it is not stored.
    return DeliveryOutcome.REJECTED if outcome is DeliveryOutcome.DELIVERED else outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResponse:
    """Items of Referenced and Failed SOP Sequence."""

    referenced: tuple[Item, ...]
    failed: tuple[Item, ...]

    def verdict(self, sop_instance_uid: Uid) -> Verdict | None:
        """Return the verdict on the one instance of the request; None if the response does not name it.

        A failed item without a UID is that instance: a server that cannot parse it has no UID to name.
        """
        for item in self.failed:
            if _uid(item) in (sop_instance_uid, ""):
                return Verdict(is_stored=False, reason=_number(item, _FAILURE_REASON))
        for item in self.referenced:
            if _uid(item) == sop_instance_uid:
                return Verdict(is_stored=True, reason=_number(item, _WARNING_REASON))
        return None


def parse_store_response(body: bytes, content_type: str) -> StoreResponse | None:
    """Return the response of a body; None if it is no data set in the DICOM JSON Model or the Native DICOM Model."""
    try:
        if content_type.endswith("xml"):
            return _of_xml(body)
        return _of_json(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ExpatError):
        return None


def _uid(item: Item) -> str:
    values = item.get(_SOP_INSTANCE_UID, ())
    return str(values[0]).rstrip("\0 ") if values else ""


def _number(item: Item, tag: str) -> int:
    values = item.get(tag, ())
    try:
        return int(values[0]) & 0xFFFF if values else 0
    except (ValueError, TypeError):
        return 0


def _of_json(document: Any) -> StoreResponse:
    """Parse the DICOM JSON Model (PS3.18 annex F); some servers put the data set into a list."""
    data_set = document[0] if isinstance(document, list) and len(document) == 1 else document
    if not isinstance(data_set, dict):
        raise TypeError
    return StoreResponse(
        referenced=tuple(_json_items(data_set, _REFERENCED_SOP_SEQUENCE)),
        failed=tuple(_json_items(data_set, _FAILED_SOP_SEQUENCE)),
    )


def _json_items(data_set: dict[str, Any], tag: str) -> Iterator[Item]:
    for item in data_set.get(tag, {}).get("Value", ()):
        if not isinstance(item, dict):
            raise TypeError
        wanted = (_SOP_INSTANCE_UID, _WARNING_REASON, _FAILURE_REASON)
        yield {name: [*item.get(name, {}).get("Value", ())] for name in wanted}


def _of_xml(body: bytes) -> StoreResponse:
    """Parse the Native DICOM Model (PS3.19 annex A), without a document type definition."""
    parser = _XmlItems()
    expat = ParserCreate(namespace_separator=" ")
    expat.StartElementHandler, expat.EndElementHandler = parser.start, parser.end
    expat.CharacterDataHandler = parser.characters
    expat.StartDoctypeDeclHandler = parser.refuse
    expat.Parse(body, True)
    return StoreResponse(
        referenced=tuple(parser.items[_REFERENCED_SOP_SEQUENCE]), failed=tuple(parser.items[_FAILED_SOP_SEQUENCE])
    )


class _XmlItems:
    """Handlers of expat: collects the items of both sequences at the top level."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, list[str | int]]]] = {
            _REFERENCED_SOP_SEQUENCE: [],
            _FAILED_SOP_SEQUENCE: [],
        }
        self._tags: list[str] = []
        self._is_root = True

    def refuse(self, *_: object) -> None:
        raise ValueError("document type definition")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        element = name.rpartition(" ")[2]
        if self._is_root and element != "NativeDicomModel":
            raise ValueError(element)
        self._is_root = False
        if element == "DicomAttribute":
            self._tags.append(attributes.get("tag", "").upper())
        elif element == "Item" and len(self._tags) == 1 and self._tags[0] in self.items:
            self.items[self._tags[0]].append({})
        elif element == "Value" and (values := self._values()) is not None:
            values.append("")

    def end(self, name: str) -> None:
        if name.rpartition(" ")[2] == "DicomAttribute":
            self._tags.pop()

    def characters(self, text: str) -> None:
        if values := self._values():
            values[-1] = f"{values[-1]}{text}".strip()

    def _values(self) -> list[str | int] | None:
        if len(self._tags) != 2 or not self.items.get(self._tags[0]):
            return None
        return self.items[self._tags[0]][-1].setdefault(self._tags[1], [])
