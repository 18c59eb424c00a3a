r"""HL7 version 2 messages as peers send them: segments, fields and their parts (HL7 2.5.1 chapter 2).

A parser of our own, because a peer may send anything: numbers of segments and fields are bounded, nothing is guessed,
and no error quotes a value. Escapes that name no character are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_node.domain.hl7_text import ENCODINGS

MAXIMUM_SEGMENTS = 1000
_MAXIMUM_FIELDS = 1000
_SEGMENT_END = re.compile("\r\n|\r|\n")
_NAME = re.compile("[A-Z][A-Z0-9]{2}")
_HEAD_CHARACTERS = 8
"""MSH, its field separator and four encoding characters."""
DELETED = '""'
"""Field whose value is to be deleted (HL7 2.5.1 section 2.5.3)."""
_CHARACTER_SETS = {"": "ascii", "ASCII": "ascii", **ENCODINGS}

Component = tuple[str, ...]
Repetition = tuple[Component, ...]


class MalformedMessage(ValueError):
    """The bytes are no message that can be read; the sentence quotes none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment with its encoded fields: field 1 of PID is `PID-1`, and MSH-1 the field separator."""

    name: str
    fields: tuple[str, ...]
    separators: str

    def text(self, number: int) -> str:
        """Return a field as it is encoded; empty if it is absent."""
        return self.fields[number] if number < len(self.fields) else ""

    def is_deleted(self, number: int) -> bool:
        """Whether the sender deletes the value of a field."""
        return self.text(number) == DELETED

    def repetitions(self, number: int) -> list[Repetition]:
        """Return the repetitions of a field: components, and their subcomponents, without escapes."""
        component, repetition, _, subcomponent = tuple(self.separators[1:])
        return [
            tuple(
                tuple(self._unescaped(part).strip() for part in one.split(subcomponent))
                for one in text.split(component)
            )
            for text in self.text(number).split(repetition)
            if text
        ]

    def value(self, number: int, component: int = 1) -> str:
        """Return the first subcomponent of a component of a field's first repetition; empty if it is absent."""
        repetitions = self.repetitions(number)
        return part_of(repetitions[0], component) if repetitions else ""

    def _unescaped(self, text: str) -> str:
        escape = self.separators[3]
        if escape not in text:
            return text
        field, component, repetition, _, subcomponent = tuple(self.separators)
        meanings = {"F": field, "S": component, "T": subcomponent, "R": repetition, "E": escape}
        pattern = f"{re.escape(escape)}([^{re.escape(escape)}]*){re.escape(escape)}"
        return re.sub(pattern, lambda match: meanings.get(match[1], ""), text)


def part_of(repetition: Repetition, component: int, subcomponent: int = 1) -> str:
    """Return a part of a repetition, counted from 1; empty if it is absent or deleted."""
    if component > len(repetition) or subcomponent > len(repetition[component - 1]):
        return ""
    part = repetition[component - 1][subcomponent - 1]
    return "" if part == DELETED else part


def parse_message(content: bytes) -> list[Segment]:
    """Parse a message without its MLLP frame; the first segment is MSH.

    Raises
    ------
    MalformedMessage
        If it is none, is in a character set that is not supported, or has too many segments or fields.
    """
    head = content[:_HEAD_CHARACTERS].decode("latin-1")
    separators = head[3:]
    if head[:3] != "MSH" or len(set(separators)) != 5 or any(one.isalnum() or one.isspace() for one in separators):
        raise MalformedMessage("it does not begin with MSH and its separators")
    lines = [line for line in _SEGMENT_END.split(_decoded(content, separators[0])) if line]
    if len(lines) > MAXIMUM_SEGMENTS:
        raise MalformedMessage(f"it has more than {MAXIMUM_SEGMENTS} segments")
    return list(_segments(lines, separators))


def _decoded(content: bytes, separator: str) -> str:
    """Return the text of a message in the character set of MSH-18 (table 0211)."""
    fields = _SEGMENT_END.split(content.decode("latin-1"), maxsplit=1)[0].split(separator)
    name = fields[17].split("~")[0].strip().upper() if len(fields) > 17 else ""
    if name not in _CHARACTER_SETS:
        raise MalformedMessage("its character set (MSH-18) is not supported")
    try:
        return content.decode(_CHARACTER_SETS[name])
    except UnicodeDecodeError:
        raise MalformedMessage("its text is not in the character set that it states (MSH-18)") from None


def _segments(lines: list[str], separators: str) -> Iterator[Segment]:
    for line in lines:
        fields = line.split(separators[0], maxsplit=_MAXIMUM_FIELDS)
        if not _NAME.fullmatch(fields[0]):
            raise MalformedMessage("a segment has no name")
        if len(fields) > _MAXIMUM_FIELDS:
            raise MalformedMessage(f"a segment has more than {_MAXIMUM_FIELDS} fields")
        if fields[0] == "MSH":
            fields.insert(1, separators[0])
        yield Segment(name=fields[0], fields=tuple(fields), separators=separators)
