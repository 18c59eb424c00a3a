r"""HL7 version 2 encoding: fields, components and escapes (HL7 2.5.1 section 2.5). A segment ends with CR.

A field is a text, a tuple of components, or a list of repetitions; a component is a text or a tuple of subcomponents.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

Component = str | tuple[str, ...]
Repetition = str | tuple[Component, ...]
Field = Repetition | list[Repetition]

CharacterSet = Literal["UNICODE UTF-8", "8859/1", "8859/15"]
ENCODINGS: Mapping[str, str] = {"UNICODE UTF-8": "utf-8", "8859/1": "latin-1", "8859/15": "iso-8859-15"}
"""Python's encodings of the values of MSH-18 (table 0211)."""
AccessionField = Literal["OBR-18", "OBR-19", "OBR-20", "OBR-21", "none"]

SEPARATORS = "^~\\&"
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\X0D\\"})
_UNWRITABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f\u2028\u2029]")
"""Control characters, of which CR would end the segment and FS the message."""


def escaped(text: str) -> str:
    """Return a text with its separators escaped, line ends as hexadecimal escapes, other control characters removed."""
    return _UNWRITABLE.sub("", re.sub("\r\n?", "\n", text)).translate(_ESCAPES)


def segment(name: str, *fields: Field) -> str:
    """Return a segment without trailing empty fields, ended with CR; of MSH the first field is MSH-3."""
    head = [name, SEPARATORS] if name == "MSH" else [name]
    return "|".join([*head, *map(_field, fields)]).rstrip("|") + "\r"


def timestamp(at: datetime) -> str:
    """Return an aware time as the type TS, to the second with its offset from UTC."""
    return f"{at:%Y%m%d%H%M%S%z}"


def fields_of(message: bytes, name: str) -> list[str]:
    """Return the fields of the first segment of that name, its name first; empty if there is none."""
    for line in re.split("[\r\n]+", message.decode("latin-1")):
        if line[:3] == name and len(line) > len(name):
            return line.split(line[3])
    return []


def _field(value: Field) -> str:
    return "~".join(map(_repetition, value)) if isinstance(value, list) else _repetition(value)


def _repetition(value: Repetition) -> str:
    return escaped(value) if isinstance(value, str) else "^".join(map(_component, value)).rstrip("^")


def _component(value: Component) -> str:
    return escaped(value) if isinstance(value, str) else "&".join(map(escaped, value)).rstrip("&")
