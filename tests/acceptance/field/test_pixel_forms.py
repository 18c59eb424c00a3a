"""Forms of Pixel Data that pydicom reads: each is read to the same values, or refused with the reason that is so.

pydicom's `pixel_array`, `apply_modality_lut` and `apply_color_lut` are the reference.
"""

import io
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

from cxr_node.domain.encoded_data_set import ENCAPSULATED_UNCOMPRESSED
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import WHITE, UInt16
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import segmented_lut, suitability
from cxr_node.pixels.decoding import decode_first_frame
from cxr_node.pixels.description import describe
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.grayscale import stored_values
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from tests.support import peers
from tests.support.odd_encodings import data_set_of, explicit, file_of, in_items, with_pixels
from tests.support.pixel_films import COLUMNS, ROWS, chest, data_set, encoded, written

LIMITS = Limits(decode_timeout_s=60)
Values = npt.NDArray[np.integer]

ENCODINGS = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "encapsulated uncompressed": uid.UID(ENCAPSULATED_UNCOMPRESSED),
    "RLE": uid.RLELossless,
}


def in_encoding(film: Dataset, syntax: uid.UID) -> bytes:
    """Return the bytes of a film in another encoding."""
    if syntax == ENCAPSULATED_UNCOMPRESSED:
        pixels = explicit(0x7FE00010, b"OB", in_items(film.PixelData), length=0xFFFFFFFF)
        return file_of(with_pixels(data_set_of(film), pixels), syntax)
    if syntax != uid.RLELossless:
        return encoded(film, syntax)
    copy = pydicom.dcmread(io.BytesIO(written(film)))
    copy.file_meta.TransferSyntaxUID = syntax
    copy.PixelData = encapsulate([rle_frame(film)])
    copy["PixelData"].VR = "OB"
    return written(copy)


def rle_frame(film: Dataset) -> bytes:
    """Return the pixels of a film in RLE without any run: a segment for each byte of a sample (PS3.5 section G)."""
    cell_bytes = film.BitsAllocated // 8
    samples = np.frombuffer(film.PixelData, "u1").reshape(-1, cell_bytes)
    if film.SamplesPerPixel == 3:
        order = samples.reshape(3, -1, cell_bytes) if film.PlanarConfiguration else samples.reshape(-1, 3, cell_bytes)
        planes = order if film.PlanarConfiguration else order.transpose(1, 0, 2)
    else:
        planes = samples[None]
    segments = [literal(plane[:, byte].tobytes()) for plane in planes for byte in reversed(range(cell_bytes))]
    offsets = np.cumsum([64, *(len(segment) for segment in segments)])[:-1]
    return struct.pack(f"<L{len(offsets)}L", len(offsets), *offsets).ljust(64, b"\0") + b"".join(segments)


def literal(content: bytes) -> bytes:
    pieces = [content[at : at + 128] for at in range(0, len(content), 128)]
    segment = b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
    return segment + b"\0" * (len(segment) % 2)


def reference_of(film: Dataset, content: bytes, encoding: str) -> Values:
    """Return pydicom's pixel array of a film; also of its encoding, where pydicom reads that as the standard has it."""
    values: Values = pydicom.dcmread(io.BytesIO(written(film))).pixel_array
    reads = encoding in ("implicit", "deflated") or (encoding in ("big endian", "RLE") and film.BitsAllocated <= 16)
    if reads:
        assert np.array_equal(pydicom.dcmread(io.BytesIO(content)).pixel_array, values)
    return values


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all compressed films."""
    with Sandbox(LIMITS) as opened:
        yield opened


def p_values(content: bytes, sandbox: Sandbox | None = None) -> UInt16:
    return radiograph(parse(content), limits=LIMITS, sandbox=sandbox).p_values


GRAYSCALE = {
    "8 bits": {"BitsAllocated": 8, "BitsStored": 8},
    "8 bits signed": {"BitsAllocated": 8, "BitsStored": 8, "PixelRepresentation": 1},
    "6 bits in 8": {"BitsAllocated": 8, "BitsStored": 6},
    "12 bits in 16": {"BitsAllocated": 16, "BitsStored": 12},
    "12 bits in 16 signed": {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 1},
    "16 bits": {"BitsAllocated": 16, "BitsStored": 16},
    "16 bits signed": {"BitsAllocated": 16, "BitsStored": 16, "PixelRepresentation": 1},
    "20 bits in 32": {"BitsAllocated": 32, "BitsStored": 20},
    "20 bits in 32 signed": {"BitsAllocated": 32, "BitsStored": 20, "PixelRepresentation": 1},
    "32 bits": {"BitsAllocated": 32, "BitsStored": 32},
    "32 bits signed": {"BitsAllocated": 32, "BitsStored": 32, "PixelRepresentation": 1},
}


def grayscale_film(form: Mapping[str, int]) -> Dataset:
    bits, is_signed = form["BitsStored"], "PixelRepresentation" in form
    used = min(bits, 24)  # modality values of a radiograph are below 1e9
    values = np.rint(chest(bits=8) / 255 * ((1 << used) - 1)).astype(np.int64) - (1 << (used - 1) if is_signed else 0)
    center = 0 if is_signed else 1 << (used - 1)
    window = {"WindowCenter": str(center), "WindowWidth": str(1 << used), "RescaleSlope": "1"}
    return data_set(values, bits_stored=bits, changes={**form, "HighBit": bits - 1, **window, "RescaleIntercept": "0"})


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", GRAYSCALE)
def test_a_grayscale_form_has_the_values_of_pydicom(form: str, encoding: str, sandbox: Sandbox) -> None:
    film = grayscale_film(GRAYSCALE[form])
    content = in_encoding(film, ENCODINGS[encoding])
    data = parse(content)
    frame = decode_first_frame(data, describe(data, limits=LIMITS), limits=LIMITS, sandbox=sandbox)
    reference = reference_of(film, content, encoding)

    assert np.array_equal(stored_values(frame.cells, frame.description), reference)
    modality = apply_modality_lut(reference, film).astype(float)
    center, width = float(film.WindowCenter), float(film.WindowWidth)
    expected = np.clip((modality - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * WHITE
    assert np.abs(p_values(content, sandbox) - expected).max() <= 1


def color_film(photometric: str, *, bits: int = 8, planar: int = 0) -> Dataset:
    """Return a gray film in color, with the window of the film that it was made of, which has no meaning in color."""
    gray = chest(bits=bits).astype(f"<u{bits // 8}")
    neutral = np.full_like(gray, 1 << (bits - 1))
    channels = [gray, gray, gray] if photometric == "RGB" else [gray, neutral, neutral]
    form = {"BitsAllocated": bits, "SamplesPerPixel": 3, "PhotometricInterpretation": photometric}
    window = {"PlanarConfiguration": planar, "WindowCenter": "2048", "WindowWidth": "4096"}
    film = data_set(gray, bits_stored=bits, changes={**form, **window})
    if photometric == "YBR_FULL_422":
        pairs = gray.reshape(-1, 2)
        film.PixelData = np.stack([pairs[:, 0], pairs[:, 1], neutral.ravel()[::2], neutral.ravel()[::2]], 1).tobytes()
    else:
        film.PixelData = np.stack(channels, 0 if planar else -1).tobytes()
    return film


COLOR = {
    "RGB by pixel": ("RGB", 8, 0),
    "RGB by plane": ("RGB", 8, 1),
    "RGB of 16 bits by pixel": ("RGB", 16, 0),
    "RGB of 16 bits by plane": ("RGB", 16, 1),
    "YBR_FULL by pixel": ("YBR_FULL", 8, 0),
    "YBR_FULL by plane": ("YBR_FULL", 8, 1),
    "YBR_FULL_422": ("YBR_FULL_422", 8, 0),
}


# RLE codes no subsampled color (PS3.5 section 8.2.2).
COLOR_ENCODINGS = [
    (form, encoding) for form in COLOR for encoding in ENCODINGS if (form, encoding) != ("YBR_FULL_422", "RLE")
]


@pytest.mark.parametrize(("form", "encoding"), COLOR_ENCODINGS)
def test_a_gray_film_in_color_has_the_values_of_pydicom(form: str, encoding: str, sandbox: Sandbox) -> None:
    photometric, bits, planar = COLOR[form]
    film = color_film(photometric, bits=bits, planar=planar)
    content = in_encoding(film, ENCODINGS[encoding])

    channel = reference_of(film, content, encoding)[..., 0].astype(int)  # of RGB, to which pydicom converts
    assert np.array_equal(p_values(content, sandbox), channel * (WHITE // 255 if bits == 8 else 1))


def test_a_gray_film_in_ybr_of_16_bits_is_its_luminance() -> None:
    """pydicom converts YBR of 8 bits only."""
    assert np.array_equal(p_values(written(color_film("YBR_FULL", bits=16))), chest(bits=16))


@pytest.mark.parametrize("form", ["20 bits in 32", "32 bits signed"])
def test_words_of_32_bits_in_big_endian_are_those_of_dcmtk(form: str, tmp_path: Path) -> None:
    """VR OW is swapped by words, and the less significant word is first; pydicom reads such a file otherwise."""
    film = grayscale_film(GRAYSCALE[form])
    little, big = tmp_path / "little.dcm", tmp_path / "big.dcm"
    little.write_bytes(written(film))
    subprocess.run([str(peers.program("dcmconv")), "+tb", str(little), str(big)], check=True, timeout=60)

    assert np.array_equal(p_values(big.read_bytes()), p_values(written(film)))


def palette_film(
    *, index_bits: int = 8, entry_bits: int = 16, first: int = 0, is_signed: bool = False, packed: bool = False
) -> Dataset:
    count = 200
    indices = np.rint(chest(bits=8) / 255 * (count + 20)).astype(np.int64) + first - 10  # some outside of the table
    low = -(1 << (index_bits - 1)) if is_signed else 0
    form = {"BitsAllocated": index_bits, "PhotometricInterpretation": "PALETTE COLOR"}
    film = data_set(
        np.maximum(indices, low), bits_stored=index_bits, changes={**form, "PixelRepresentation": int(is_signed)}
    )
    curve = np.sqrt(np.arange(count) / count) * ((1 << entry_bits) - 1)
    content = curve.astype("<u1" if packed else "<u2").tobytes()
    for name in ("Red", "Green", "Blue"):
        descriptor = [count, first, entry_bits]
        film.add_new(f"{name}PaletteColorLookupTableDescriptor", "SS" if first < 0 else "US", descriptor)
        film.add_new(f"{name}PaletteColorLookupTableData", "OW", content)
    return film


PALETTES = {
    "8-bit indices": palette_film(first=10),
    "16-bit indices": palette_film(index_bits=16, first=3000),
    "32-bit indices": palette_film(index_bits=32, first=3000),
    "8-bit entries in words": palette_film(entry_bits=8, first=10),
    "8-bit entries in bytes": palette_film(entry_bits=8, first=10, packed=True),
    "signed indices": palette_film(index_bits=16, first=-100, is_signed=True),
    "signed 8-bit indices": palette_film(index_bits=8, first=-100, is_signed=True),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", PALETTES)
def test_a_gray_palette_has_the_values_of_pydicom(form: str, encoding: str, sandbox: Sandbox) -> None:
    film = PALETTES[form]
    content = in_encoding(film, ENCODINGS[encoding])
    read = pydicom.dcmread(io.BytesIO(written(film)))
    reference = apply_color_lut(read.pixel_array, read)[..., 0].astype(float)

    full = (1 << film.RedPaletteColorLookupTableDescriptor[2]) - 1
    assert np.abs(p_values(content, sandbox) - reference * WHITE / full).max() <= 1


COMPRESSED = {
    "8 bits signed": grayscale_film(GRAYSCALE["8 bits signed"]),
    "12 bits signed": grayscale_film(GRAYSCALE["12 bits in 16 signed"]),
    "16 bits signed": grayscale_film(GRAYSCALE["16 bits signed"]),
    "RGB": color_film("RGB"),
    "RGB of 16 bits": color_film("RGB", bits=16),
    "palette of 8-bit indices": PALETTES["8-bit indices"],
    "palette of 16-bit indices": PALETTES["16-bit indices"],
}


def compressed(film: Dataset, syntax: uid.UID) -> Dataset:
    copy = pydicom.dcmread(io.BytesIO(written(film)))
    if syntax != uid.JPEG2000Lossless:
        copy.compress(syntax, generate_instance_uid=False)
        return copy
    is_color = film.SamplesPerPixel == 3
    values, kind = copy.pixel_array, 1 if is_color else 2
    frame = encode_array(values, bits_stored=film.BitsStored, photometric_interpretation=kind, use_mct=is_color)
    copy.PixelData = encapsulate([bytes(frame)])
    copy["PixelData"].VR = "OB"
    copy.file_meta.TransferSyntaxUID = syntax
    if is_color:
        copy.PhotometricInterpretation = "YBR_RCT"
    return copy


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("form", COMPRESSED)
def test_a_compressed_form_has_the_values_of_its_uncompressed_one(form: str, syntax: uid.UID, sandbox: Sandbox) -> None:
    film = COMPRESSED[form]

    assert np.array_equal(p_values(written(compressed(film, syntax)), sandbox), p_values(written(film)))


SEGMENTS: dict[str, tuple[int, list[int], int]] = {
    "discrete and linear, 16 bits": (16, [0, 3, 100, 200, 300, 1, 197, 60000], 200),
    "falling, 16 bits": (16, [0, 1, 65535, 1, 99, 0, 1, 100, 50000], 200),
    "repeated, 16 bits": (16, [0, 2, 10, 20, 1, 98, 40000, 2, 2, 0, 0], 200),
    "discrete and linear, 8 bits": (8, [0, 3, 1, 2, 3, 1, 197, 250], 200),
    "repeated, 8 bits": (8, [0, 2, 10, 20, 1, 98, 255, 2, 2, 0, 0, 0, 0], 200),
    "padded, 8 bits": (8, [0, 3, 1, 2, 3, 1, 197, 250, 0], 200),
}
"""Bits of an entry, values of the segments, and number of entries; the offset of pydicom's 16 bits is in words."""


@pytest.mark.parametrize("encoding", ["explicit", "big endian"])
@pytest.mark.parametrize("form", SEGMENTS)
def test_a_segmented_gray_palette_has_the_values_of_pydicom(form: str, encoding: str) -> None:
    entry_bits, values, count = SEGMENTS[form]
    film = palette_film(first=10, entry_bits=entry_bits)
    content = np.array(values, "<u1" if entry_bits == 8 else "<u2").tobytes()
    for name in ("Red", "Green", "Blue"):
        del film[f"{name}PaletteColorLookupTableData"]
        film[f"{name}PaletteColorLookupTableDescriptor"].value = [count, 10, entry_bits]
        film.add_new(f"Segmented{name}PaletteColorLookupTableData", "OW", content + b"\0" * (len(content) % 2))
    read = pydicom.dcmread(io.BytesIO(written(film)))
    reference = apply_color_lut(read.pixel_array, read)[..., 0].astype(int)

    assert np.array_equal(p_values(in_encoding(film, ENCODINGS[encoding])), reference * (257 if entry_bits == 8 else 1))


def test_the_offset_of_an_indirect_segment_is_in_bytes() -> None:
    """PS3.3 section C.7.9.2.3: here of the linear segment behind a discrete one of four words."""
    words = [0, 2, 10, 20, 1, 2, 40, 2, 1, 8, 0]
    expected = [10, 20, 30, 40, 40, 40]
    assert segmented_lut.expand(words, entry_bytes=2, limit=6) == expected
    content = [0, 2, 10, 20, 1, 2, 40, 2, 1, 4, 0, 0, 0]
    assert segmented_lut.expand(content, entry_bytes=1, limit=6) == expected


@pytest.mark.parametrize(
    "values",
    [
        [1, 4, 50],  # a linear segment without an entry before it
        [2, 1, 0, 0],  # an indirect one
        [0, 9, 1, 2],  # cut
        [7, 1, 1],  # unknown
        [0, 1, 5, 2, 2, 0, 0],  # refers to itself
    ],
)
def test_segments_that_make_no_table_are_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match=r"(?i)segment"):
        segmented_lut.expand(values, entry_bytes=2, limit=100)


def floating_film(keyword: str) -> Dataset:
    film = data_set(chest(), changes={"PixelData": None, "BitsAllocated": 32, "BitsStored": None, "HighBit": None})
    kind, vr = ("<f4", "OF") if keyword == "FloatPixelData" else ("<f8", "OD")
    film.add_new(keyword, vr, chest().astype(kind).tobytes())
    return film


def colored() -> Dataset:
    film = color_film("RGB")
    film.PixelData = bytes([200, 20, 20]) * (ROWS * COLUMNS)
    return film


REFUSED = {
    "float": (floating_film("FloatPixelData"), Reason.DECODE, "floating-point pixels"),
    "double": (floating_film("DoubleFloatPixelData"), Reason.DECODE, "floating-point pixels"),
    "1 bit": (
        data_set(chest(), changes={"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": b"\xaa" * 384}),
        Reason.DECODE,
        "black or white only",
    ),
    "64 bits": (
        data_set(chest(), changes={"BitsAllocated": 64, "BitsStored": 32, "HighBit": 31}),
        Reason.DECODE,
        "Bits Allocated 64",
    ),
    "12 bits packed": (
        data_set(chest(), changes={"BitsAllocated": 12, "PixelData": bytes(ROWS * COLUMNS * 3 // 2)}),
        Reason.DECODE,
        "Bits Allocated 12",
    ),
    "colors": (colored(), Reason.COLOR, "the color channels differ"),
    "color of 32 bits": (
        data_set(
            chest(),
            changes={"BitsAllocated": 32, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        ),
        Reason.COLOR,
        "in 32",
    ),
    "HSV": (color_film("HSV"), Reason.COLOR, "none that is known"),
    "no pixels": (data_set(chest(), changes={"PixelData": None}), Reason.NO_PIXELS, "(7FE0,0010) is absent"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_is_no_radiograph_is_refused_with_its_reason(form: str) -> None:
    film, reason, words = REFUSED[form]
    data = parse(written(film))
    verdict = suitability.judge_header(data, Rules())
    with pytest.raises(GiveUp) as gave_up:
        radiograph(data, limits=LIMITS)

    assert (gave_up.value.reason, words in gave_up.value.detail) == (reason, True), gave_up.value.detail
    assert verdict.refused in (None, reason)
