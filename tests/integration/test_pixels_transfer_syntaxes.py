"""The same film in every transfer syntax."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import UInt16
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.decoding import CODECS, NATIVE
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.sandbox import Sandbox
from tests.support.pixel_films import LOSSLESS, LOSSY, chest, data_set, encoded, written

Changes = dict[str, Any]
WINDOW: Changes = {"WindowCenter": 2048, "WindowWidth": 4096}
SIGNED: Changes = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits()) as sandbox:
        yield sandbox


def shown(content: bytes, sandbox: Sandbox) -> UInt16:
    return radiograph(parse(content), limits=Limits(), sandbox=sandbox).p_values


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_every_lossless_transfer_syntax_gives_the_same_to_the_last_bit(syntax: uid.UID, sandbox: Sandbox) -> None:
    film = data_set(chest(), changes=WINDOW)
    assert np.array_equal(shown(encoded(film, syntax), sandbox), shown(written(film), sandbox))


@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if s != uid.HTJ2KLossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [8, 10, 15, 16])
def test_so_does_every_depth(syntax: uid.UID, bits: int, sandbox: Sandbox) -> None:
    window: Changes = {
        "WindowCenter": 1 << (bits - 1),
        "WindowWidth": 1 << bits,
        "BitsAllocated": 8 if bits == 8 else 16,
    }
    film = data_set(chest(bits=bits), bits_stored=bits, changes=window)
    assert np.array_equal(shown(encoded(film, syntax), sandbox), shown(written(film), sandbox))


@pytest.mark.parametrize(
    "syntax", [s for s in LOSSLESS if s not in (uid.HTJ2KLossless, uid.JPEGLossless)], ids=lambda syntax: syntax.name
)
def test_so_do_signed_values(syntax: uid.UID, sandbox: Sandbox) -> None:
    film = data_set(chest() - 2048, changes=SIGNED)
    assert np.array_equal(shown(encoded(film, syntax), sandbox), shown(written(film), sandbox))


@pytest.mark.parametrize(
    "syntax",
    [s for s in LOSSLESS if s not in (uid.HTJ2KLossless, uid.JPEG2000Lossless)],
    ids=lambda syntax: syntax.name,
)
@pytest.mark.parametrize("high_bit", [13, 15])
def test_so_does_a_high_bit_above_the_stored_ones(syntax: uid.UID, high_bit: int, sandbox: Sandbox) -> None:
    """But for JPEG 2000: gdcmconv writes another High Bit over the same cells, which is another film."""
    film = data_set(chest(), changes=WINDOW | {"HighBit": high_bit})
    expected = shown(written(data_set(chest(), changes=WINDOW)), sandbox)
    assert np.array_equal(shown(encoded(film, syntax), sandbox), expected)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.name)
def test_a_lossy_transfer_syntax_stays_near(syntax: uid.UID, sandbox: Sandbox) -> None:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    film = data_set(chest(bits=bits), bits_stored=bits, changes={"BitsAllocated": 8} if bits == 8 else WINDOW)
    lossy, plain = shown(encoded(film, syntax), sandbox), shown(written(film), sandbox)
    assert np.abs(lossy.astype(int) - plain).mean() < 0.02 * 65535


def test_every_transfer_syntax_the_node_knows_is_tried_here() -> None:
    """The two HTJ2K kinds differ from the tried one only in how the codestream is ordered or quantised.

    Encapsulated Uncompressed is tried with what the field sends.
    """
    untried = {uid.HTJ2K, uid.HTJ2KLosslessRPCL, uid.UID("1.2.840.10008.1.2.1.98")}
    assert set(LOSSLESS) | set(LOSSY) | untried == NATIVE | set(CODECS)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.3.4", ""])
def test_an_unknown_transfer_syntax_is_given_up(syntax: str, sandbox: Sandbox) -> None:
    film = written(data_set(chest()))
    stated = uid.ExplicitVRLittleEndian.encode() + b"\0"
    assert film.count(stated) == 1
    with pytest.raises(GiveUp) as gave_up:
        shown(film.replace(stated, syntax.encode().ljust(len(stated), b"\0")), sandbox)
    assert gave_up.value.reason is Reason.DECODE
