"""Reads elements of a data set without raising or warning, whatever a peer wrote.

pydicom converts a value at first access, and then warns, logs the value, or raises. These functions convert the raw
bytes instead; a value that cannot be parsed counts as absent.
"""

import math
import struct
from collections.abc import Iterable

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "US or SS": "H", "OW": "H"}


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a text element, without padding; () if it is absent or empty.

    The bytes are decoded as Latin-1: enough for the standard's terms, not for names.
    """
    element = _element(dataset, keyword)
    if isinstance(element, RawDataElement):
        parts = _raw(element).decode("latin-1").split("\\")
    else:
        parts = [str(part) for part in _listed(element)]
    stripped = tuple(part.strip(" \0\t\r\n") for part in parts)
    return stripped if any(stripped) else ()


def text(dataset: Dataset, keyword: str) -> str:
    """Return the first value of a text element, or "" if it is absent."""
    values = texts(dataset, keyword)
    return values[0] if values else ""


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the values of a numeric element (DS, IS, US, SS, UL, SL, FL or FD).

    A value that is not a finite number becomes NaN, so that positions keep their meaning.
    A US or SS element is read as unsigned: see `signed`.
    """
    element = _element(dataset, keyword)
    if isinstance(element, RawDataElement):
        code = _BINARY.get(_vr(element, keyword))
        if code is not None:
            return tuple(_finite(value) for value in _unpack(element, code))
    return tuple(_finite(value) for value in texts(dataset, keyword))


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of a numeric element; None if it is absent or not a finite number."""
    values = numbers(dataset, keyword)
    return values[0] if values and not math.isnan(values[0]) else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value of a numeric element as an integer; None if it is absent or has a fraction."""
    value = number(dataset, keyword)
    return int(value) if value is not None and value == int(value) else None


def signed(value: float) -> int:
    """Return the signed number of a 16-bit pattern that was read as unsigned (VR SS)."""
    pattern = int(value) & 0xFFFF
    return pattern - 0x10000 if pattern & 0x8000 else pattern


def payload(dataset: Dataset, keyword: str) -> bytes:
    """Return the bytes of a binary element (OB, OW or US), little endian as words; b"" if it is absent."""
    element = _element(dataset, keyword)
    if isinstance(element, RawDataElement):
        value = _raw(element)
        if not element.is_little_endian and _vr(element, keyword) != "OB":
            return b"".join(value[at : at + 2][::-1] for at in range(0, len(value) - 1, 2))
        return value
    if element is None or isinstance(element.value, bytes):
        return b"" if element is None else element.value
    words = [int(value) & 0xFFFF for value in _listed(element) if isinstance(value, int)]
    return struct.pack(f"<{len(words)}H", *words)


def encoded(dataset: Dataset, keyword: str) -> bytes:
    """Return the bytes of a text element as received; b"" if it is absent."""
    element = _element(dataset, keyword)
    if isinstance(element, RawDataElement):
        return _raw(element)
    return "\\".join(str(part) for part in _listed(element)).encode()


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; () if it is absent, empty or cannot be parsed."""
    if _element(dataset, keyword) is None:
        return ()
    try:
        value = dataset[keyword].value
        return tuple(value) if not isinstance(value, str | bytes) and value is not None else ()
    except Exception:  # noqa: BLE001 - pydicom raises any type; a broken sequence counts as absent
        return ()


def present(dataset: Dataset, keyword: str) -> bool:
    """Whether the element is present, with or without a value."""
    return _element(dataset, keyword) is not None


def _element(dataset: Dataset, keyword: str) -> DataElement | RawDataElement | None:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"not a keyword of the standard: {keyword}")
    return dataset.get_item(tag, keep_deferred=True) if tag in dataset else None


def _raw(element: RawDataElement) -> bytes:
    value: object = element.value  # annotated as bytes, but may be None
    return value if isinstance(value, bytes) else b""


def _vr(element: RawDataElement, keyword: str) -> str:
    return element.VR if element.VR not in (None, "UN") else dictionary_VR(keyword)


def _listed(element: DataElement | None) -> Iterable[object]:
    if element is None or element.value is None:
        return ()
    value = element.value
    return value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (value,)


def _unpack(element: RawDataElement, code: str) -> tuple[float, ...]:
    value = _raw(element)
    count = len(value) // struct.calcsize(code)
    order = "<" if element.is_little_endian else ">"
    return struct.unpack_from(f"{order}{count}{code}", value)


def _finite(value: float | str) -> float:
    """Return a number, also one with a decimal comma ("0,143"), which some consoles write; NaN if it is none."""
    try:
        number_ = float(value.replace(",", ".") if isinstance(value, str) and value.count(",") == 1 else value)
    except ValueError:
        return math.nan
    return number_ if math.isfinite(number_) else math.nan
