"""Bits that code the samples of a lossless JPEG frame (ISO/IEC 10918-1 section H)."""

import struct

import numpy as np
import pytest

from cxr_node.pixels.decoding import Cells
from cxr_node.pixels.lossless_jpeg import uses_all_data

CODES = {category: f"{category:05b}" for category in range(17)}
"""Five bits each; the code of ones alone is left free, as it must be."""


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def coded(samples: Cells, *, selection: int = 1, tables: bytes = b"", left_out: int = 0) -> bytes:
    """Return a frame of 16 bits without its end, coded by section H.1.2, without the last bits that are left out."""
    bits = []
    for row, values in enumerate(samples.tolist()):
        for column, value in enumerate(values):
            beside = values[column - 1] if column else samples[row - 1][0] if row else 1 << 15
            difference = (value - int(beside) + (1 << 15)) % (1 << 16) - (1 << 15)
            if difference == -(1 << 15):
                bits.append(CODES[16])
                continue
            category = abs(difference).bit_length()
            low = difference if difference >= 0 else difference + (1 << category) - 1
            bits.append(CODES[category] + (f"{low:0{category}b}" if category else ""))
    text = "".join(bits)
    text = text[: len(text) - left_out]
    text += "1" * (-len(text) % 8)
    data = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")
    frame = segment(0xC3, struct.pack(">BHHBBBB", 16, *samples.shape, 1, 1, 0x11, 0))
    table = segment(0xC4, bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)]))
    return b"\xff\xd8" + frame + table + tables + segment(0xDA, bytes([1, 1, 0, selection, 0, 0])) + data


@pytest.fixture
def samples() -> Cells:
    """Return samples with differences of every category, the last one too."""
    values = np.random.default_rng(7).integers(0, 1 << 16, (40, 30)).astype(np.uint16)
    values[3, :] = np.cumsum(1 << np.arange(30) // 2) % (1 << 16)
    values[4, 4:7] = 0, 1 << 15, 0
    values[-1, -12:] = values[-1, -13]
    return values


def whole(frame: bytes, samples: Cells) -> bool:
    return uses_all_data(frame, samples.tobytes(), columns=samples.shape[1], cell_bytes=2)


def test_all_bits_of_a_whole_frame_are_counted(samples: Cells) -> None:
    assert whole(coded(samples), samples)
    assert whole(coded(samples) + b"\xff", samples)  # a fill byte before the marker


@pytest.mark.parametrize("missing", [8, 9, 16, 40, 200])
def test_a_frame_that_lacks_bits_is_not_whole(samples: Cells, missing: int) -> None:
    assert not whole(coded(samples, left_out=missing), samples)


def test_a_frame_with_more_bits_is_not_whole(samples: Cells) -> None:
    assert not whole(coded(samples) + b"\0", samples)
    assert not whole(coded(samples) + b"\xff\xd0\0", samples)


def test_other_processes_are_not_judged(samples: Cells) -> None:
    assert not whole(coded(samples, selection=4), samples)
    assert not whole(coded(samples, tables=segment(0xDD, b"\0\7")), samples)
    assert whole(coded(samples, tables=segment(0xDD, b"\0\0")), samples)
    assert not whole(coded(samples).replace(b"\xff\xc3", b"\xff\xc1"), samples)


def test_a_difference_without_a_code_is_not_whole(samples: Cells) -> None:
    short = segment(0xC4, bytes([0, 0, 0, 0, 0, 16, *[0] * 11, *range(16)]))
    assert not whole(coded(samples, tables=short), samples)


def test_a_header_that_ends_early_is_not_judged(samples: Cells) -> None:
    frame = coded(samples)
    assert not any(whole(frame[:length], samples) for length in range(70))
