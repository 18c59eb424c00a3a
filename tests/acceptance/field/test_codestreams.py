"""Codestreams and numbers as the field has them: overshoot, signs, missing ends, JFIF, decimal commas."""

import io
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
from cxr_node.pixels.codecs import Task
from cxr_node.pixels.codestream import Codestream
from cxr_node.pixels.encapsulation import first_frame
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.receive.application_entity import TRANSFER_SYNTAXES
from tests.support import peers
from tests.support.odd_encodings import DEFLATED, data_set_of, deflated, explicit, file_of, in_items, with_pixels
from tests.support.pixel_films import chest, data_set, encoded, written

LIMITS = Limits(decode_timeout_s=20)
ENDLESS = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for many films."""
    with Sandbox(LIMITS) as opened:
        yield opened


def p_values(film: Dataset, sandbox: Sandbox | None = None) -> UInt16:
    return radiograph(parse(written(film)), limits=LIMITS, sandbox=sandbox).p_values


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
def test_a_whole_frame_without_its_end_marker_is_read(syntax: uid.UID, sandbox: Sandbox) -> None:
    film, frame = frame_of(syntax)
    assert frame.endswith(b"\xff\xd9")
    whole = p_values(with_frame(film, frame, syntax), sandbox)

    assert (p_values(with_frame(film, frame[:-2], syntax), sandbox) == whole).all()


@pytest.mark.parametrize("syntax", ENDLESS, ids=lambda syntax: syntax.name)
def test_a_cut_frame_is_refused_at_once_and_in_plain_words(syntax: uid.UID, sandbox: Sandbox) -> None:
    film, frame = frame_of(syntax)

    with pytest.raises(GiveUp) as gave_up:
        p_values(with_frame(film, frame[: len(frame) * 2 // 3], syntax), sandbox)

    assert gave_up.value.reason is Reason.DECODE
    assert "Error" not in gave_up.value.detail


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("syntax", [*ENDLESS, uid.JPEGLossless, uid.JPEG2000], ids=lambda syntax: syntax.name)
def test_a_cut_frame_that_was_closed_is_refused(syntax: uid.UID, part: float, sandbox: Sandbox) -> None:
    """JPEG decoders fill up what is missing before the marker, and would show a part of the film."""
    film, frame = frame_of(syntax)

    with pytest.raises(GiveUp) as gave_up:
        p_values(with_frame(film, frame[: int(len(frame) * part)] + b"\xff\xd9", syntax), sandbox)

    assert gave_up.value.reason is Reason.DECODE


@pytest.mark.parametrize("selection_value", range(1, 8))
def test_a_cut_frame_is_refused_with_each_predictor(selection_value: int, tmp_path: Path, sandbox: Sandbox) -> None:
    film, source, target = data_set(chest()), tmp_path / "source.dcm", tmp_path / "target.dcm"
    source.write_bytes(written(film))
    encoder = [str(peers.program("dcmcjpeg")), "+el", "+sv", str(selection_value)]
    subprocess.run([*encoder, str(source), str(target)], check=True, timeout=60)
    whole = parse(target.read_bytes())
    frame = first_frame(whole.get_item("PixelData").value, number_of_frames=1).rstrip(b"\0")
    cut = with_frame(data_set(chest()), frame[: len(frame) // 2] + b"\xff\xd9", uid.JPEGLossless)

    assert (radiograph(whole, limits=LIMITS, sandbox=sandbox).p_values == p_values(film)).all()
    with pytest.raises(GiveUp, match="ends before its picture does"):
        p_values(cut, sandbox)


def test_a_film_with_a_flat_corner_is_whole(sandbox: Sandbox) -> None:
    stored = chest()
    stored[-20:, -30:] = 0
    film, whole = data_set(stored), encoded(data_set(stored), uid.JPEGLosslessSV1)

    assert (radiograph(parse(whole), limits=LIMITS, sandbox=sandbox).p_values == p_values(film)).all()


class CountingSandbox(Sandbox):
    """Counts the frames that it decodes."""

    decoded = 0

    def decode(self, task: Task, frame: bytes, *, expected_bytes: int) -> bytearray:
        """Decode, and count."""
        self.decoded += 1
        return super().decode(task, frame, expected_bytes=expected_bytes)


def flat_corner(bits: int) -> Dataset:
    """Return a film whose last samples are equal, as a decoder fills up what is missing."""
    stored = chest(bits=bits)
    stored[-20:, -30:] = 0
    stored[:8, :8] = np.random.default_rng(1).integers(0, 1 << bits, (8, 8))  # differences of every size
    return data_set(stored, bits_stored=bits, changes={"BitsAllocated": 8} if bits == 8 else {})


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_lossless_film_with_a_flat_corner_is_decoded_once(bits: int) -> None:
    film = flat_corner(bits)
    whole = parse(encoded(film, uid.JPEGLosslessSV1))

    with CountingSandbox(LIMITS) as counting:
        assert (radiograph(whole, limits=LIMITS, sandbox=counting).p_values == p_values(film)).all()
    assert counting.decoded == 1


@pytest.mark.parametrize("filler", [b"", b"\xff", b"\xff\xff"], ids=["closed", "filled", "filled twice"])
def test_a_flat_corner_cut_by_few_bytes_is_refused(filler: bytes, sandbox: Sandbox) -> None:
    syntax = uid.JPEGLosslessSV1
    content = parse(encoded(flat_corner(12), syntax)).get_item("PixelData").value
    frame = first_frame(content, number_of_frames=1).rstrip(b"\0")
    assert frame.endswith(b"\xff\xd9")

    for missing in range(2, 16):  # the encoder may end its data with a byte of padding
        cut = frame[: -2 - missing] + filler + b"\xff\xd9"
        with pytest.raises(GiveUp, match="ends before its picture does"):
            p_values(with_frame(flat_corner(12), cut, syntax), sandbox)
    assert p_values(with_frame(flat_corner(12), frame[:-2] + filler + b"\xff\xd9", syntax), sandbox).any()


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["cut", "cut and closed"])
@pytest.mark.parametrize("length", [3, 10, 20, 40, 200, 1000, -500, -20])
@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEGLSNearLossless], ids=lambda syntax: syntax.name)
def test_a_cut_jpeg_ls_frame_ends_the_decoder_at_once(
    syntax: uid.UID, length: int, end: bytes, sandbox: Sandbox
) -> None:
    film, frame = frame_of(syntax)

    with pytest.raises(GiveUp) as gave_up:
        p_values(with_frame(film, frame[:length] + end, syntax), sandbox)

    assert gave_up.value.reason is Reason.DECODE  # TIMEOUT: the decoder hung


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

    shown = p_values(with_frame(film, content.getvalue(), uid.JPEGBaseline8Bit))
    assert np.abs(shown.astype(int) - chest(bits=8) * 257).mean() < 3 * 257


@pytest.mark.parametrize(("text", "number"), [("1,000000", 1.0), ("0,143", 0.143), ("1.5", 1.5), ("1,234,567", None)])
def test_a_decimal_comma_is_a_decimal_point(text: str, number: float | None) -> None:
    film = data_set(chest(), changes={"PatientID": text})
    film.RescaleSlope = "1"
    raw = written(film).replace(
        b"DS\x02\x001 ", b"DS" + len(text.ljust(8)).to_bytes(2, "little") + text.ljust(8).encode()
    )

    assert elements.number(parse(raw), "RescaleSlope") == (None if number is None else pytest.approx(number))


def test_decimal_commas_in_windows_and_spacings_are_read() -> None:
    values = {"WindowCenter": "2048.0", "WindowWidth": "3000.5", "RescaleSlope": "1.000000", "RescaleIntercept": "0.0"}
    film = data_set(chest(), changes={**values, "ImagerPixelSpacing": ["0.143", "0.143"]})
    points = written(film)
    commas = points
    for text in ("2048.0", "3000.5", "1.000000", "0.0 ", "0.143\\0.143"):
        assert text.encode() in commas
        commas = commas.replace(text.encode(), text.replace(".", ",").encode())

    one, other = (radiograph(parse(content), limits=LIMITS) for content in (points, commas))
    assert (one.p_values == other.p_values).all()
    assert other.geometry.spacing == one.geometry.spacing is not None
    assert other.notes == one.notes == ()


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, DEFLATED])
def test_native_pixels_in_items_are_not_shifted(syntax: uid.UID) -> None:
    film = data_set(chest())
    items = in_items(film.PixelData)
    if syntax == uid.ImplicitVRLittleEndian:
        pixels, data = struct.pack("<HHL", 0x7FE0, 0x10, 0xFFFFFFFF) + items, data_set_of(film, syntax)
        content = data[: data.index(struct.pack("<HH", 0x7FE0, 0x10))] + pixels
    else:
        content = with_pixels(data_set_of(film), explicit(0x7FE00010, b"OB", items, length=0xFFFFFFFF))
    content = deflated(content) if syntax == DEFLATED else content

    assert (radiograph(parse(file_of(content, syntax)), limits=LIMITS).p_values == p_values(film)).all()


def test_encapsulated_uncompressed_is_accepted_and_read() -> None:
    film = data_set(chest())
    pixels = explicit(0x7FE00010, b"OB", in_items(film.PixelData), length=0xFFFFFFFF)
    content = file_of(with_pixels(data_set_of(film), pixels), ENCAPSULATED_UNCOMPRESSED)

    assert ENCAPSULATED_UNCOMPRESSED in TRANSFER_SYNTAXES
    assert (radiograph(parse(content), limits=LIMITS).p_values == p_values(film)).all()


def test_a_codestream_of_jpeg_states_no_sign() -> None:
    assert not Codestream(rows=1, columns=1, components=1, precision=8).is_signed
