"""Decoding of a film's text to Unicode, also where its declared character set is wrong (PS3.5 section 6.1)."""

import re
from collections.abc import Sequence

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

UNICODE = "ISO_IR 192"

_DEFAULT = "iso8859"
_ESCAPE = b"\x1b"
_FOUR_BYTE_ESCAPES = (b"$(", b"$)")
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Encodings whose Python codec handles the escape sequence itself."""
_GB2312_TO_G1 = "\x1b$)A"
_TEXT_DELIMITERS = re.compile(rb"[\t\n\f\r\\]")
_PERSON_NAME_DELIMITERS = re.compile(rb"[\t\n\f\r\\^=]")
_PADDING = "\0 "


def encodings_of(character_sets: Sequence[str]) -> tuple[str, ...]:
    """Return the Python encodings of Specific Character Set (0008,0005), at least one.

    Variant spellings of modalities are accepted (ISO-IR 100, ISO_IR_100). A term not in PS3.3 section C.12.1.1.2, and
    an empty first value, as in Japanese and Korean films, are the default repertoire.
    """
    terms = [_term(text) for text in character_sets]
    encodings = [python_encoding.get(term, _DEFAULT) for term in terms] or [_DEFAULT]
    if terms and terms[0] in STAND_ALONE_ENCODINGS:
        return (encodings[0],)
    return tuple(encodings)


def decode(value: bytes, encodings: Sequence[str], *, is_person_name: bool = False, is_declared: bool = True) -> str:
    """Return an element's value as Unicode, without its padding. Never fails.

    Bytes that are invalid in the declared character set, or not ASCII and undeclared, are decoded as UTF-8 if they are
    valid UTF-8. Otherwise they are decoded as ISO 8859-1, from which the bytes can be restored.
    """
    if not is_declared and _is_utf_8(value):
        return value.decode("utf-8").rstrip(_PADDING)
    if _ESCAPE in value:
        text = _decode_escaped(value, encodings, is_person_name=is_person_name)
    else:
        text = _decode_plain(value, encodings[0])
    return text.rstrip(_PADDING)


def without_gb2312_escapes(text: str) -> str:
    """Return `text` without escapes to GB 2312, which pydicom 3.0.2 decodes but leaves in place."""
    return text.replace(_GB2312_TO_G1, "")


def _term(text: str) -> str:
    term = text.strip().upper().replace("-", " ").replace("_", " ")
    return term.replace("ISO IR ", "ISO_IR ", 1) if term.startswith("ISO IR ") else term


def _is_utf_8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode_plain(value: bytes, encoding: str) -> str:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return value.decode("utf-8" if _is_utf_8(value) else "latin-1")


def _decode_escaped(value: bytes, encodings: Sequence[str], *, is_person_name: bool) -> str:
    """Decode part by part, each from one escape sequence to the next (PS3.5 section 6.1.2.5.3).

    An escape sequence names the set that follows, and is honored even if the film did not declare the set.
    """
    delimiters = _PERSON_NAME_DELIMITERS if is_person_name else _TEXT_DELIMITERS
    first, *escaped = value.split(_ESCAPE)
    parts = [_decode_plain(first, encodings[0])]
    parts.extend(_decode_part(_ESCAPE + part, encodings[0], delimiters) for part in escaped)
    return "".join(parts)


def _decode_part(part: bytes, initial: str, delimiters: re.Pattern[bytes]) -> str:
    """Decode the text after an escape sequence; a delimiter restores the initial set."""
    length = 4 if part[1:3] in _FOUR_BYTE_ESCAPES else 3
    encoding = CODES_TO_ENCODINGS.get(part[:length])
    if encoding is None:
        return _decode_plain(part[1:], initial)
    if encoding in _STATEFUL:
        return part.decode(encoding, errors="replace")
    head, *tail = delimiters.split(part[length:], maxsplit=1)
    rest = part[length + len(head) :] if tail else b""
    return head.decode(encoding, errors="replace") + _decode_plain(rest, initial)
