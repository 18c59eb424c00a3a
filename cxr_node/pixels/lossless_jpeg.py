"""Count of the coded bits of a lossless JPEG frame: whether decoded samples use up its data, without decoding again.

ISO/IEC 10918-1 section H. A sample is coded as its difference from the prediction: a Huffman code of the number of
bits of the difference, its category, and those bits. So decoded samples and the code tables give the length of the
data, to the bit.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cxr_node.pixels.frame_end import FILL_BYTE

_LOSSLESS, _TABLES, _RESTARTS, _SCAN = 0xC3, 0xC4, 0xDD, 0xDA
_LEFT = 1
"""Selection value of the prediction by the sample on the left (table H.1), which nearly all encoders use."""
_ONLY_CODE = 16
"""Category of the one difference, 32768, that is coded without further bits (table H.2)."""
_NO_CODE = 255
_STRIP_CELLS = 1 << 18


@dataclass(slots=True)
class _Header:
    """What precedes the data of the first scan; `code_bits` has the lengths of the codes by table and category."""

    precision: int = 0
    code_bits: dict[int, dict[int, int]] = field(default_factory=dict)
    table: int = 0
    data: bytes = b""


def uses_all_data(frame: bytes, decoded: bytes | bytearray, *, columns: int, cell_bytes: int) -> bool:
    """Whether the samples of a frame of one component are coded by all of its data, and no more.

    `frame` ends before its end marker. False also where this is not known: other processes and predictions, restart
    intervals, a header that cannot be read.
    """
    try:
        header = _read_header(frame)
    except (IndexError, struct.error, ValueError):
        return False
    code_bits = header.code_bits.get(header.table)
    data = header.data.rstrip(FILL_BYTE)
    stuffed = data.count(b"\xff\x00")
    if code_bits is None or data.count(FILL_BYTE) != stuffed:
        return False
    samples = np.frombuffer(decoded, f"<u{cell_bytes}").reshape(-1, columns)
    used = _coded_bits(samples, header.precision, _bits_of_differences(code_bits))
    return used is not None and 0 <= 8 * (len(data) - stuffed) - used < 8  # the last byte is filled up


def _bits_of_differences(code_bits: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """Return the bits that code each difference modulo 65,536, of code and difference; _NO_CODE where there is none."""
    table = np.full(1 << 16, _NO_CODE, np.uint8)
    for category, bits in code_bits.items():
        if 0 < category < _ONLY_CODE:
            table[1 << (category - 1) : 1 << category] = bits + category
            table[(1 << 16) - (1 << category) + 1 : (1 << 16) - (1 << (category - 1)) + 1] = bits + category
    table[0] = code_bits.get(0, _NO_CODE)
    table[1 << 15] = code_bits.get(_ONLY_CODE, _NO_CODE)
    return table


def _coded_bits(samples: npt.NDArray[np.unsignedinteger], precision: int, table: npt.NDArray[np.uint8]) -> int | None:
    """Return how many bits code the samples, None if a difference has no code."""
    rows, columns = samples.shape
    used, step = 0, max(1, _STRIP_CELLS // columns)
    for top in range(0, rows, step):
        strip = samples[top : top + step].astype(np.uint16, copy=False)
        differences = np.empty_like(strip)
        np.subtract(strip[:, 1:], strip[:, :-1], out=differences[:, 1:])
        np.subtract(strip[1:, 0], strip[:-1, 0], out=differences[1:, 0])
        above = int(samples[top - 1, 0]) if top else 1 << (precision - 1)
        differences[0, 0] = (int(strip[0, 0]) - above) % (1 << 16)
        bits = np.take(table, differences, mode="clip")  # "clip" needs no buffer; no difference is out of range
        if bits.max() == _NO_CODE:
            return None
        used += int(bits.sum(dtype=np.int64))
    return used


def _read_header(frame: bytes) -> _Header:
    """Return the header of the first scan; raise ValueError for another process than `uses_all_data` knows."""
    header = _Header()
    for marker, segment, end in _segments(frame):
        if marker == _LOSSLESS:
            header.precision = segment[0]
        elif marker == _TABLES:
            _read_tables(segment, header.code_bits)
        elif marker == _SCAN:
            if not header.precision or len(segment) != 6 or segment[3] != _LEFT or segment[5]:
                raise ValueError("another prediction, or a point transform")
            header.table, header.data = segment[2] >> 4, frame[end:]
            break
        elif 0xC0 <= marker <= 0xCF or (marker == _RESTARTS and segment != b"\0\0"):
            raise ValueError("another process, or restart intervals")
    return header


def _segments(frame: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and end of each segment (section B.1.1.4)."""
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise ValueError("no marker")
        at += 1
        if frame[at] != 0xFF:
            (length,) = struct.unpack_from(">H", frame, at + 1)
            yield frame[at], frame[at + 3 : at + 1 + length], at + 1 + length
            at += 1 + length


def _read_tables(segment: bytes, code_bits: dict[int, dict[int, int]]) -> None:
    """Add the tables of a segment (section B.2.4.2)."""
    at = 0
    while at < len(segment):
        counts = segment[at + 1 : at + 17]
        categories = segment[at + 17 : at + 17 + sum(counts)]
        lengths = [length for length, count in enumerate(counts, 1) for _ in range(count)]
        code_bits[segment[at]] = dict(zip(categories, lengths, strict=True))
        at += 17 + sum(counts)
