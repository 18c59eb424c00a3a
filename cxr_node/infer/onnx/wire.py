"""Wire format of protocol buffers, for untrusted bytes: no recursion, no copies, bounded work."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_FIELDS = 4_000_000
"""Fields of one file, of all its messages together."""

MAX_PACKED_BYTES = 1 << 22
"""Bytes of integers packed into one field: large tensors are raw bytes."""

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 63
_SIGN_BIT = 1 << 63


class MalformedFile(ValueError):
    """The bytes are no protocol buffer within the limits."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, and an integer or bytes."""

    number: int
    value: int | memoryview

    def message(self) -> memoryview:
        """Return the bytes of a field with a length."""
        if isinstance(self.value, int):
            raise MalformedFile(f"field {self.number} is a number, expected bytes")
        return self.value

    def integer(self) -> int:
        """Return a signed 64-bit integer."""
        if not isinstance(self.value, int):
            raise MalformedFile(f"field {self.number} is bytes, expected a number")
        return self.value - (1 << 64) if self.value & _SIGN_BIT else self.value

    def text(self, limit: int) -> str:
        """Return UTF-8 text of at most `limit` bytes."""
        content = self.message()
        if len(content) > limit:
            raise MalformedFile(f"a name has {len(content)} bytes, at most {limit} are allowed")
        try:
            return bytes(content).decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedFile("a name is not UTF-8") from None

    def float32(self) -> float:
        """Return the number whose four bytes the field has."""
        value: float = struct.unpack("<f", struct.pack("<I", self.integer() & 0xFFFFFFFF))[0]
        return value

    def integers(self) -> list[int]:
        """Return a repeated integer: one, or several packed into bytes."""
        if isinstance(self.value, int):
            return [self.integer()]
        if len(self.value) > MAX_PACKED_BYTES:
            raise MalformedFile(f"{len(self.value)} bytes of packed numbers, at most {MAX_PACKED_BYTES} are allowed")
        values, position = [], 0
        while position < len(self.value):
            value, position = _varint(self.value, position)
            values.append(Field(self.number, value).integer())
        return values

    def floats(self) -> npt.NDArray[np.float32]:
        """Return a repeated 32-bit float: one, or several packed into bytes."""
        if isinstance(self.value, int):
            return np.array([self.float32()], np.float32)
        if len(self.value) % 4:
            raise MalformedFile("packed floats are no multiple of four bytes")
        return np.frombuffer(self.value, "<f4")


class WireReader:
    """Reads messages of one file, at most `MAX_FIELDS` fields altogether."""

    def __init__(self, limit: int = MAX_FIELDS) -> None:
        self._remaining = limit

    def fields(self, content: memoryview) -> Iterator[Field]:
        """Yield the fields of a message in order.

        Raises
        ------
        MalformedFile
            If the bytes end early, a wire type is unknown, or the file has too many fields.
        """
        position = 0
        while position < len(content):
            self._remaining -= 1
            if self._remaining < 0:
                raise MalformedFile("too many fields")
            key, position = _varint(content, position)
            value, position = _value(content, position, key & 7)
            yield Field(key >> 3, value)


def _value(content: memoryview, position: int, wire_type: int) -> tuple[int | memoryview, int]:
    """Return the value at a position, and the position after it."""
    if wire_type == _VARINT:
        return _varint(content, position)
    if wire_type == _LENGTH:
        size, position = _varint(content, position)
        return _part(content, position, size), position + size
    if wire_type in (_FIXED_32, _FIXED_64):
        size = 4 if wire_type == _FIXED_32 else 8
        return int.from_bytes(_part(content, position, size), "little"), position + size
    raise MalformedFile(f"wire type {wire_type} is not used by ONNX")


def _part(content: memoryview, position: int, size: int) -> memoryview:
    if size > len(content) - position:
        raise MalformedFile("the file ends within a field")
    return content[position : position + size]


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """Return an unsigned integer in groups of seven bits, and the position after it."""
    value = shift = 0
    while True:
        if position >= len(content) or shift > _MAX_VARINT_BITS:
            raise MalformedFile("a number does not end")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & ((1 << 64) - 1), position
        shift += 7
