"""Reads the tensors of an ONNX file (TensorProto), within limits."""

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxr_node.infer.onnx.wire import Field, MalformedFile, WireReader

MAX_ELEMENTS = 160 << 20
"""Elements of all tensors of a file: 640 MiB of 32-bit floats."""
MAX_DIMENSIONS = 8
MAX_NAME_BYTES = 1024
MAX_VALUES = 100_000
"""Numbers in one attribute."""

Array = npt.NDArray[np.generic]
_Item = TypeVar("_Item")

_KINDS: Mapping[int, str] = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8"}
"""Data types (TensorProto.DataType): 32-bit and 64-bit floats and integers, 8-bit integers, booleans."""
_FLOATS, _INTEGERS, _LONG_INTEGERS, _RAW, _DOUBLES = 4, 5, 7, 9, 10
_SEGMENT, _EXTERNAL_DATA, _DATA_LOCATION = 3, 13, 14


class UnsafeFile(ValueError):
    """The file contains what is not allowed, or is no ONNX file. It was not used."""


class TensorReader:
    """Reads tensors of one file, at most `MAX_ELEMENTS` elements altogether."""

    def __init__(self, wire: WireReader) -> None:
        self._wire = wire
        self._elements = 0

    def read(self, content: memoryview) -> tuple[str, Array]:
        """Return the name and the values of a tensor.

        Raises
        ------
        UnsafeFile
            If its values are in another file, of another data type, or do not fit its shape.
        """
        parts: dict[int, list[Field]] = {}
        for field in self._wire.fields(content):
            parts.setdefault(field.number, []).append(field)
        name = parts[8][-1].text(MAX_NAME_BYTES) if 8 in parts else ""
        location = parts[_DATA_LOCATION][-1].integer() if _DATA_LOCATION in parts else 0
        if location or _SEGMENT in parts or _EXTERNAL_DATA in parts:
            raise UnsafeFile(f"tensor {name[:80]!r} is in another file; export everything into one file")
        kind = parts[2][-1].integer() if 2 in parts else 0
        if kind not in _KINDS:
            raise UnsafeFile(
                f"tensor {name[:80]!r} has data type {kind}; export the network in 32-bit floats, not quantised"
            )
        dims = [size for field in parts.get(1, []) for size in field.integers()]
        if len(dims) > MAX_DIMENSIONS or any(size < 0 for size in dims):
            raise UnsafeFile(f"tensor {name[:80]!r} has the shape {dims[:MAX_DIMENSIONS]}")
        self._elements += math.prod(dims)
        if self._elements > MAX_ELEMENTS:
            raise UnsafeFile(f"the tensors have more than {MAX_ELEMENTS} elements")
        return name, _array(name, np.dtype(_KINDS[kind]), dims, parts)


def _array(name: str, kind: np.dtype[np.generic], dims: list[int], parts: Mapping[int, list[Field]]) -> Array:
    """Return the values in their shape, from raw bytes or from numbers."""
    try:
        values = _values(kind, parts)
    except MalformedFile:
        raise
    except (ValueError, OverflowError):
        raise UnsafeFile(f"tensor {name[:80]!r} has values that are not of its data type") from None
    if values.size != math.prod(dims):
        raise UnsafeFile(f"tensor {name[:80]!r} has {values.size} values, its shape needs {math.prod(dims)}")
    return values.reshape(dims)


def _values(kind: np.dtype[np.generic], parts: Mapping[int, list[Field]]) -> Array:
    if _RAW in parts:
        return np.frombuffer(parts[_RAW][-1].message(), kind)
    if _FLOATS in parts:
        return np.concatenate([field.floats() for field in parts[_FLOATS]]).astype(kind)
    if _DOUBLES in parts:
        return np.concatenate([np.frombuffer(field.message(), "<f8") for field in parts[_DOUBLES]]).astype(kind)
    keys = (_INTEGERS, _LONG_INTEGERS)
    return np.array([number for key in keys for field in parts.get(key, []) for number in field.integers()], kind)


def limited(values: list[_Item]) -> list[_Item]:
    """Return the values of an attribute; raise UnsafeFile if there are too many."""
    if len(values) > MAX_VALUES:
        raise UnsafeFile(f"an attribute has {len(values)} values, at most {MAX_VALUES} are allowed")
    return values
