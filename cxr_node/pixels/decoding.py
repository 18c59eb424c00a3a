"""Decodes Pixel Data to cells in memory, for every transfer syntax (PS3.5 section A)."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from cxr_node.domain.encoded_data_set import ENCAPSULATED_UNCOMPRESSED, UNDEFINED
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements, encapsulation, frame_end, samples
from cxr_node.pixels.codecs import Codec, Task
from cxr_node.pixels.codestream import read_codestream
from cxr_node.pixels.description import Description
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.lossless_jpeg import uses_all_data
from cxr_node.pixels.sandbox import Sandbox

Cells = npt.NDArray[np.unsignedinteger]

NATIVE: frozenset[str] = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        ENCAPSULATED_UNCOMPRESSED,
    }
)
CODECS: dict[str, Codec] = {
    uid.JPEGBaseline8Bit: Codec.JPEG,
    uid.JPEGExtended12Bit: Codec.JPEG,
    uid.JPEGLossless: Codec.JPEG,
    uid.JPEGLosslessSV1: Codec.JPEG,
    uid.JPEGLSLossless: Codec.JPEG_LS,
    uid.JPEGLSNearLossless: Codec.JPEG_LS,
    uid.JPEG2000Lossless: Codec.JPEG_2000,
    uid.JPEG2000: Codec.JPEG_2000,
    uid.HTJ2KLossless: Codec.JPEG_2000,
    uid.HTJ2KLosslessRPCL: Codec.JPEG_2000,
    uid.HTJ2K: Codec.JPEG_2000,
    uid.RLELossless: Codec.RLE,
}
LOSSY: frozenset[str] = frozenset(
    {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """Cells of one frame, shape (rows, columns) or (rows, columns, 3), as unsigned patterns.

    `description` is the header's, corrected by the codestream where the two differ.
    """

    cells: Cells
    description: Description
    is_lossy: bool


def decode_first_frame(
    dataset: Dataset, description: Description, *, limits: Limits, sandbox: Sandbox | None = None
) -> Frame:
    """Return the first frame's cells.

    Without a `sandbox`, one is started for this film alone, which costs a process start.

    Raises
    ------
    GiveUp
        DECODE or TIMEOUT, as `Sandbox.decode`.
    """
    syntax = transfer_syntax(dataset)
    lossy = syntax in LOSSY
    if syntax in NATIVE:
        return Frame(cells=_native(dataset, description, syntax), description=description, is_lossy=lossy)
    if syntax not in CODECS:
        raise GiveUp(Reason.DECODE, f"no decoder for transfer syntax {syntax}")
    encoded = elements.payload(dataset, "PixelData")
    frame = encapsulation.first_frame(encoded, number_of_frames=description.number_of_frames)
    if sandbox is not None:
        cells, description = _encoded(frame, description, syntax, sandbox)
    else:
        with Sandbox(limits) as temporary:
            cells, description = _encoded(frame, description, syntax, temporary)
    return Frame(cells=cells, description=description, is_lossy=lossy)


def transfer_syntax(dataset: Dataset) -> Uid:
    """Return the Transfer Syntax UID (0002,0010), or raise GiveUp without one."""
    stated = elements.text(dataset.file_meta, "TransferSyntaxUID") if hasattr(dataset, "file_meta") else ""
    try:
        return parse_uid(stated)
    except ValueError as error:
        raise GiveUp(Reason.DECODE, "Transfer Syntax UID (0002,0010) is absent or malformed") from error


def _native(dataset: Dataset, description: Description, syntax: str) -> Cells:
    pixel_data = dataset.get_item("PixelData", keep_deferred=True)
    content = pixel_data.value if isinstance(pixel_data.value, bytes) else b""
    if syntax == ENCAPSULATED_UNCOMPRESSED or _is_in_items(pixel_data, content):
        content = encapsulation.first_frame(content, number_of_frames=description.number_of_frames)
    subsampled = description.photometric_interpretation == "YBR_FULL_422"
    needed = description.frame_bytes // 3 * 2 if subsampled else description.frame_bytes
    if len(content) < needed:
        raise GiveUp(Reason.DECODE, f"Pixel Data holds {len(content)} bytes where the frame needs {needed}")
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    if order == ">" and description.bits_allocated == 8 and pixel_data.VR == "OW":
        content = _swapped_pairs(content, needed)
    if subsampled:
        return _upsample_color(np.frombuffer(content, "u1", count=needed), description)
    if order == ">" and description.bits_allocated == 32:
        # Two words, the less significant one first, each big endian: VR OW is swapped by words (PS3.5 section 6.2).
        words = np.frombuffer(content, ">u2", count=2 * description.samples).astype("<u2")
        return _reshape(words.view("<u4"), description)
    kind = np.dtype(f"{order}u{description.bits_allocated // 8}")
    return _reshape(np.frombuffer(content, kind, count=description.samples), description)


def _is_in_items(pixel_data: DataElement | RawDataElement, content: bytes) -> bool:
    """Whether Pixel Data of a native transfer syntax is encapsulated all the same."""
    if isinstance(pixel_data, RawDataElement):
        is_undefined_length = pixel_data.length == UNDEFINED
    else:
        is_undefined_length = pixel_data.is_undefined_length
    return is_undefined_length and encapsulation.begins_with_item(content)


def _upsample_color(subsampled: Cells, description: Description) -> Cells:
    """Repeat the shared color of YBR_FULL_422 for both pixels of a pair (PS3.3 section C.7.6.3.1.2)."""
    if description.columns % 2:
        raise GiveUp(Reason.DECODE, "YBR_FULL_422 with an odd number of columns")
    first, second, blue, red = subsampled.reshape(-1, 4).T
    pixels = np.stack([first, blue, red, second, blue, red], axis=1)
    return pixels.reshape(description.rows, description.columns, 3)


def _swapped_pairs(content: bytes, size: int) -> bytes:
    """Undo the byte order of 8-bit cells in words (PS3.5 section D.2): pairs were swapped."""
    words = np.frombuffer(content[: len(content) // 2 * 2], ">u2").astype("<u2").tobytes()
    if len(words) < size:
        raise GiveUp(Reason.DECODE, "Pixel Data of VR OW has an odd length")
    return words


def _encoded(frame: bytes, description: Description, syntax: str, sandbox: Sandbox) -> tuple[Cells, Description]:
    if syntax == uid.RLELossless:
        return _rle(frame, description, syntax, sandbox)
    return _compressed(frame, description, syntax, sandbox)


def _rle(frame: bytes, description: Description, syntax: str, sandbox: Sandbox) -> tuple[Cells, Description]:
    task = Task(
        codec=Codec.RLE,
        transfer_syntax_uid=syntax,
        rows=description.rows,
        columns=description.columns,
        components=description.samples_per_pixel,
        precision=description.bits_allocated,
        photometric_interpretation=description.photometric_interpretation,
    )
    decoded = sandbox.decode(task, frame, expected_bytes=description.frame_bytes)
    by_plane = replace(description, planar_configuration=1)  # PS3.5 section G.2
    return _reshape(np.frombuffer(decoded, f"<u{description.bits_allocated // 8}"), by_plane), description


def _compressed(frame: bytes, description: Description, syntax: str, sandbox: Sandbox) -> tuple[Cells, Description]:
    codestream = read_codestream(frame)
    if (codestream.rows, codestream.columns) != (description.rows, description.columns):
        raise GiveUp(
            Reason.DECODE,
            f"the encoded frame has {codestream.rows} rows of {codestream.columns} columns, "
            f"the header {description.rows} of {description.columns}",
        )
    if codestream.components != description.samples_per_pixel or not 1 <= codestream.precision <= 16:
        raise GiveUp(
            Reason.DECODE, f"the encoded frame has {codestream.components} components of {codestream.precision} bits"
        )
    codec = CODECS[syntax]
    if codec is Codec.JPEG and codestream.components > 1:
        codec = Codec.JPEG_COLOR
    task = Task(
        codec=codec,
        transfer_syntax_uid=syntax,
        rows=description.rows,
        columns=description.columns,
        components=codestream.components,
        precision=codestream.precision,
        photometric_interpretation=description.photometric_interpretation,
    )
    cell_bytes = 1 if codestream.precision <= 8 else 2
    decoded = _decode_to_end(task, frame, description.samples * cell_bytes, sandbox)
    # Encoders code the whole cell, where High Bit holds, or the sample alone, where it cannot (PS3.5 section 8.2).
    precision = codestream.precision
    stored = min(description.bits_stored, precision)
    described = replace(
        description,
        bits_allocated=8 * cell_bytes,
        bits_stored=stored,
        high_bit=description.high_bit if description.high_bit < precision else stored - 1,
        planar_configuration=0,
        photometric_interpretation=_delivered(codec, description.photometric_interpretation),
    )
    cells, described = samples.correct(
        np.frombuffer(decoded, f"<u{cell_bytes}"),
        described,
        codestream,
        is_lossy=syntax in LOSSY,
        states_sign=codec is Codec.JPEG_2000,
    )
    return _reshape(cells, described), described


def _decode_to_end(task: Task, frame: bytes, size_bytes: int, sandbox: Sandbox) -> bytearray:
    """Return the samples of a frame that may lack its end marker, if its samples are whole.

    JPEG decoders fill up what is missing; then other bytes behind the data make another picture.
    """
    end = frame_end.find_end(frame)
    data = (frame if end < 0 else frame[:end]).rstrip(frame_end.FILL_BYTE)
    decoded = sandbox.decode(task, frame if end >= 0 else frame + frame_end.END, expected_bytes=size_bytes)
    if task.codec not in (Codec.JPEG, Codec.JPEG_COLOR):
        return decoded
    cell_bytes = size_bytes // (task.rows * task.columns * task.components)
    layout = {"columns": task.columns, "components": task.components, "cell_bytes": cell_bytes}
    if end >= 0 and not frame_end.may_be_filled_up(decoded, **layout):
        return decoded
    if task.components == 1 and uses_all_data(data, decoded, columns=task.columns, cell_bytes=cell_bytes):
        return decoded
    try:
        filled = sandbox.decode(task, data + frame_end.FILLER + frame_end.END, expected_bytes=size_bytes)
    except GiveUp:  # the decoder refuses bytes behind a whole picture
        return decoded
    if filled != decoded:
        raise GiveUp(Reason.DECODE, "the encoded frame ends before its picture does")
    return decoded


def _delivered(codec: Codec, photometric_interpretation: str) -> str:
    converts = codec is Codec.JPEG_COLOR or photometric_interpretation in ("YBR_ICT", "YBR_RCT")
    return "RGB" if converts else photometric_interpretation


def _reshape(cells: Cells, description: Description) -> Cells:
    rows, columns = description.rows, description.columns
    if description.samples_per_pixel == 1:
        return cells.reshape(rows, columns)
    if description.planar_configuration == 1:
        return cells.reshape(3, rows, columns).transpose(1, 2, 0)
    return cells.reshape(rows, columns, 3)
