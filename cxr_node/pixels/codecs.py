"""Decoders of compressed frames, one function per family. They run in a child process: see `sandbox`.

Each delivers little-endian cells as the frame stores them, color by pixel (RLE: by plane): no color conversion except
the codestream's own, no rescaling, no sign correction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast


class Codec(StrEnum):
    """A family of codestreams."""

    JPEG = "jpeg"
    JPEG_COLOR = "jpeg color"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg 2000"
    RLE = "rle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Parameters of one encoded frame, from its own header; for RLE, which has none, `precision` is Bits Allocated."""

    codec: Codec
    transfer_syntax_uid: str
    rows: int
    columns: int
    components: int
    precision: int
    photometric_interpretation: str


def decode(task: Task, frame: bytes) -> bytes | bytearray:
    """Return the samples of `frame`: 8-bit cells up to 8 bits of precision, else 16-bit.

    Raises any exception of the decoder.
    """
    return _DECODERS[task.codec](task, frame)


def _jpeg(task: Task, frame: bytes) -> bytes | bytearray:
    """Decode JPEG with GDCM, which contains the 8, 12 and 16-bit builds of the reference library.

    Its codec is called directly, and the samples are copied from its memory: `gdcm.Image.GetBuffer` converts them to
    text and back, which takes as long as decoding.
    """
    import ctypes

    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    encoded = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    encoded.SetValue(fragments.__ref__())
    codec = gdcm.JPEGCodec()
    codec.SetNumberOfDimensions(2)
    codec.SetDimensions((task.columns, task.rows, 1))
    codec.SetPlanarConfiguration(0)
    codec.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    cell = 8 if task.precision <= 8 else 16
    codec.SetPixelFormat(gdcm.PixelFormat(task.components, cell, task.precision, task.precision - 1, 0))
    decoded = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    if not codec.Decode(encoded, decoded):
        raise ValueError("the decoder refuses the frame")
    samples = decoded.GetByteValue()
    size = task.rows * task.columns * task.components * cell // 8
    if int(str(samples.GetLength())) != size + size % 2:  # a value has an even length (PS3.5 section 7.1)
        raise ValueError("the decoder delivers another size")
    return ctypes.string_at(int(samples.GetVoidPointer()), size)


def _jpeg_color(task: Task, frame: bytes) -> bytes | bytearray:
    """Decode 8-bit color JPEG with Pillow to RGB: it follows the color markers of the codestream."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(frame), formats=["JPEG"]) as picture:
        if picture.size != (task.columns, task.rows):
            raise ValueError("the size of the codestream differs from its header")
        if (
            task.photometric_interpretation == "RGB"
            and "adobe_transform" not in picture.info
            and "jfif" not in picture.info
        ):
            picture.draft("YCbCr", picture.size)  # as stored: without a marker libjpeg assumes YCbCr
            return picture.tobytes()
        return picture.convert("RGB").tobytes()


def _jpeg_ls(_task: Task, frame: bytes) -> bytes | bytearray:
    import jpeg_ls  # type: ignore[import-untyped] # pyjpegls ships no types

    decoded: bytearray
    decoded, _ = jpeg_ls.decode_pixel_data(frame)
    return decoded


def _jpeg_2000(_task: Task, frame: bytes) -> bytes | bytearray:
    from openjpeg.utils import decode_pixel_data

    return cast("bytearray", decode_pixel_data(frame, version=2))


def _rle(task: Task, frame: bytes) -> bytes | bytearray:
    """Decode RLE, color by plane (PS3.5 section G.2)."""
    from rle.utils import decode_pixel_data

    size = {"rows": task.rows, "columns": task.columns}
    return cast("bytearray", decode_pixel_data(frame, None, 2, bits_allocated=task.precision, **size))


_DECODERS: dict[Codec, Callable[[Task, bytes], bytes | bytearray]] = {
    Codec.JPEG: _jpeg,
    Codec.JPEG_COLOR: _jpeg_color,
    Codec.JPEG_LS: _jpeg_ls,
    Codec.JPEG_2000: _jpeg_2000,
    Codec.RLE: _rle,
}
