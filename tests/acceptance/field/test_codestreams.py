"""Codestreams and numbers as the field has them: overshoot, signs, missing ends, JFIF, decimal commas."""

import io

import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from cxr_node.domain.encoded_data_set import ENCAPSULATED_UNCOMPRESSED
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import UInt16
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements
from cxr_node.pixels.codestream import Codestream
from cxr_node.pixels.encapsulation import first_frame
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.receive.application_entity import TRANSFER_SYNTAXES
from tests.support.odd_encodings import data_set_of, explicit, file_of, in_items, with_pixels
from tests.support.pixel_films import chest, data_set, encoded, written

LIMITS = Limits(decode_timeout_s=20)
ENDLESS = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)


def p_values(film: Dataset) -> UInt16:
    return radiograph(parse(written(film)), limits=LIMITS).p_values


def with_frame(film: Dataset, frame: bytes, syntax: uid.UID) -> Dataset:
    film.file_meta.TransferSyntaxUID = syntax
    film.PixelData = encapsulate([frame])
    film["PixelData"].VR, film["PixelData"].is_undefined_length = "OB", True
    return film


def windowed(stored: np.ndarray[tuple[int, ...], np.dtype[np.integer]], **changes: object) -> Dataset:
    return data_set(stored, bits_stored=10, changes={"WindowCenter": "512", "WindowWidth": "1024", **changes})


@pytest.mark.parametrize("precision", [12, 16])
def test_overshoot_of_a_lossy_codec_stays_white(precision: int) -> None:
    """Ten stored bits in a codestream of more: dcm4che issue 512, a form of CR systems."""
    stored = np.where(np.indices((64, 64))[1] // 4 % 2, 1023, 0).astype(np.uint16)
    stored[:32] = 1023
    frame = bytes(
        encode_array(
            stored, bits_stored=precision, photometric_interpretation=2, use_mct=False, compression_ratios=[12]
        )
    )
    native = p_values(windowed(stored))

    difference = np.abs(p_values(with_frame(windowed(stored), frame, uid.JPEG2000)).astype(int) - native.astype(int))

    assert difference[:24].max() < 0x8000


def test_a_signed_codestream_is_signed_under_an_unsigned_header() -> None:
    signed = (chest(bits=12) - 2048).astype(np.int16)
    frame = bytes(encode_array(signed, bits_stored=12, photometric_interpretation=2, use_mct=False))
    changes = {"WindowCenter": "0", "WindowWidth": "4096"}
    native = p_values(data_set(signed.astype(np.int64), changes={**changes, "PixelRepresentation": 1}))

    assert (p_values(with_frame(data_set(chest(), changes=changes), frame, uid.JPEG2000Lossless)) == native).all()


def frame_of(syntax: uid.UID) -> tuple[Dataset, bytes]:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    film = data_set(chest(bits=bits), bits_stored=bits, changes={"BitsAllocated": 8} if bits == 8 else {})
    content: bytes = parse(encoded(film, syntax)).get_item("PixelData").value
    return film, first_frame(content, number_of_frames=1).rstrip(b"\0")


@pytest.mark.parametrize("syntax", ENDLESS, ids=lambda syntax: syntax.name)
def test_a_whole_frame_without_its_end_marker_is_read(syntax: uid.UID) -> None:
    film, frame = frame_of(syntax)
    assert frame.endswith(b"\xff\xd9")
    whole = p_values(with_frame(film, frame, syntax))

    assert (p_values(with_frame(film, frame[:-2], syntax)) == whole).all()


@pytest.mark.parametrize("syntax", ENDLESS, ids=lambda syntax: syntax.name)
def test_a_cut_frame_is_refused_at_once_and_in_plain_words(syntax: uid.UID) -> None:
    film, frame = frame_of(syntax)

    with pytest.raises(GiveUp) as gave_up:
        p_values(with_frame(film, frame[: len(frame) * 2 // 3], syntax))

    assert gave_up.value.reason is Reason.DECODE
    assert "Error" not in gave_up.value.detail


def test_a_jfif_picture_under_a_header_of_rgb_is_gray() -> None:
    gray = Image.fromarray(chest(bits=8).astype(np.uint8)).convert("RGB")
    content = io.BytesIO()
    gray.save(content, "JPEG", quality=95)
    film = data_set(
        chest(bits=8),
        bits_stored=8,
        changes={
            "BitsAllocated": 8,
            "SamplesPerPixel": 3,
            "PhotometricInterpretation": "RGB",
            "PlanarConfiguration": 0,
        },
    )

    assert np.ptp(p_values(with_frame(film, content.getvalue(), uid.JPEGBaseline8Bit))) > 0x8000


@pytest.mark.parametrize(("text", "number"), [("1,000000", 1.0), ("0,143", 0.143), ("1.5", 1.5), ("1,234,567", None)])
def test_a_decimal_comma_is_a_decimal_point(text: str, number: float | None) -> None:
    film = data_set(chest(), changes={"PatientID": text})
    film.RescaleSlope = "1"
    raw = written(film).replace(
        b"DS\x02\x001 ", b"DS" + len(text.ljust(8)).to_bytes(2, "little") + text.ljust(8).encode()
    )

    assert elements.number(parse(raw), "RescaleSlope") == (None if number is None else pytest.approx(number))


def test_encapsulated_uncompressed_is_accepted_and_read() -> None:
    film = data_set(chest())
    pixels = explicit(0x7FE00010, b"OB", in_items(film.PixelData), length=0xFFFFFFFF)
    content = file_of(with_pixels(data_set_of(film), pixels), ENCAPSULATED_UNCOMPRESSED)

    assert ENCAPSULATED_UNCOMPRESSED in TRANSFER_SYNTAXES
    assert (radiograph(parse(content), limits=LIMITS).p_values == p_values(film)).all()


def test_a_codestream_of_jpeg_states_no_sign() -> None:
    assert not Codestream(rows=1, columns=1, components=1, precision=8).is_signed
