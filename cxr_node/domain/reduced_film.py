"""Reduced film: a film as it hangs, in 8 bits and in the size in which results show it, and its encoded form."""

import json
import struct
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Self

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

_HEADER = struct.Struct("<32sL")
"""SHA-256 of what follows, and the size of the description."""
_MAXIMUM_DESCRIPTION_BYTES = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReducedFilm:
    """A film for pictures.

    Parameters
    ----------
    gray
        Shape (height, width), 0 black to 255 white; square pixels.
    rows, columns
        Size of the film as it hangs, in its own pixels.
    patient_orientation
        Direction of rows and columns of the film as it hangs; None if the header does not state it.
    """

    gray: UInt8
    rows: int
    columns: int
    patient_orientation: tuple[str, str] | None

    def encoded(self) -> bytes:
        """Return the film with a digest, and with the versions of the software that has reduced it."""
        height, width = self.gray.shape
        values = [height, width, self.rows, self.columns, self.patient_orientation, _versions()]
        description = json.dumps(values).encode("ascii")
        content = description + self.gray.tobytes()
        return _HEADER.pack(sha256(content).digest(), len(description)) + content

    @classmethod
    def from_encoded(cls, encoded: bytes) -> Self | None:
        """Return the film; None of bytes that are not whole, or that another version of the software has written."""
        if len(encoded) < _HEADER.size:
            return None
        digest, size = _HEADER.unpack_from(encoded)
        content = memoryview(encoded)[_HEADER.size :]
        if size > _MAXIMUM_DESCRIPTION_BYTES or sha256(content).digest() != digest:
            return None
        *sizes, orientation, versions = json.loads(bytes(content[:size]))
        if versions != _versions():
            return None
        height, width, rows, columns = sizes
        gray = np.frombuffer(content[size:], np.uint8).reshape(height, width)
        return cls(
            gray=gray,
            rows=rows,
            columns=columns,
            patient_orientation=None if orientation is None else (orientation[0], orientation[1]),
        )


@cache
def _versions() -> list[str]:
    """Return the versions of what decodes and reduces a film: with another, composing decodes it anew."""
    return [version(name) for name in ("cxr-node", "numpy", "pillow")]
