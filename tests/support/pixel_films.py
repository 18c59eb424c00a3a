"""Small films with known stored values, in each transfer syntax, with any element changed."""

import io
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import config, uid
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from tests.support import peers

Stored = npt.NDArray[np.integer]

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
ROWS, COLUMNS = 64, 48
UNCOMPRESSED = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
LOSSLESS = (
    *UNCOMPRESSED,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
)
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000)


def chest(rows: int = ROWS, columns: int = COLUMNS, *, bits: int = 12) -> Stored:
    """Return stored values of a schematic chest without noise: air near 0, dark lungs, bright middle and lower part."""
    row, column = np.mgrid[0:rows, 0:columns]
    y, x = row / rows, column / columns
    body = np.clip(1 - ((x - 0.5) / 0.47) ** 6 - np.clip(0.12 - y, 0, 1) * 5, 0.05, 1)
    lungs = sum(np.exp(-(((x - c) / 0.12) ** 4) - ((y - 0.45) / 0.27) ** 4) for c in (0.28, 0.72))
    shade = body * (0.55 + 0.3 * y) * (1 - 0.55 * lungs) + 0.02 * np.sin(40 * x) * np.cos(31 * y)
    values: Stored = np.rint(np.clip(shade, 0, 1) * ((1 << bits) - 1)).astype(np.int32)
    return values


def data_set(stored: Stored, *, bits_stored: int = 12, changes: Mapping[str, object] | None = None) -> Dataset:
    """Return a chest film of `stored` values, MONOCHROME2 and 16 bits allocated, without window or other transform.

    `changes` are set last; None removes an element. Pixel Data follows the changed Bits Allocated, High Bit and Pixel
    Representation, without bits above High Bit.
    """
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    film.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = "2.25.1"
    film.Modality = "DX"
    film.BodyPartExamined = "CHEST"
    film.ViewPosition = "PA"
    film.SamplesPerPixel = 1
    film.PhotometricInterpretation = "MONOCHROME2"
    film.Rows, film.Columns = stored.shape
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, bits_stored, bits_stored - 1, 0
    put(film, changes or {})
    if "PixelData" not in (changes or {}):
        film.PixelData = cells(stored, film).tobytes()
        film["PixelData"].VR = "OW"
    return film


def put(film: Dataset, changes: Mapping[str, object]) -> None:
    """Set elements by keyword, conformant or not; None removes one."""
    for keyword, value in changes.items():
        if value is None:
            film.pop(keyword, None)
        else:
            tag = tag_for_keyword(keyword)
            assert tag is not None, keyword
            film.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))


def cells(stored: Stored, film: Dataset) -> npt.NDArray[np.unsignedinteger]:
    """Return pixel cells of the values `stored`, little endian."""
    shift = int(film.HighBit) + 1 - int(film.BitsStored)
    patterns = (stored.astype(np.int64) & ((1 << int(film.BitsStored)) - 1)) << shift
    return patterns.astype(f"<u{int(film.BitsAllocated) // 8}")


def written(film: Dataset) -> bytes:
    """Return `film` as the bytes of a DICOM file, in the transfer syntax of its file meta."""
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    content = io.BytesIO()
    pydicom.dcmwrite(content, film, enforce_file_format=True)
    return content.getvalue()


def encoded(film: Dataset, syntax: uid.UID) -> bytes:
    """Return the bytes of `film` in another transfer syntax, by an encoder that the node does not use.

    HTJ2K is a file of `chest()` and works for that film only: see tests/fixtures/README.md.
    """
    if syntax in (*UNCOMPRESSED, uid.DeflatedExplicitVRLittleEndian):
        return _rewritten(film, syntax)
    if syntax == uid.HTJ2KLossless:
        return _wrapped(film, syntax, (FIXTURES / "chest_htj2k_lossless.j2c").read_bytes())
    program, *options = _ENCODERS[syntax]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.dcm"), Path(folder, "target.dcm")
        source.write_bytes(written(film))
        arguments = [str(peers.program(program)), *options, str(source), str(target)]
        subprocess.run(arguments, check=True, capture_output=True, timeout=60)
        return target.read_bytes()


_ENCODERS = {
    uid.RLELossless: ("dcmcrle",),
    uid.JPEGLossless: ("dcmcjpeg", "+el"),
    uid.JPEGLosslessSV1: ("dcmcjpeg", "+e1"),
    uid.JPEGBaseline8Bit: ("dcmcjpeg", "+eb", "+q", "95"),
    uid.JPEGExtended12Bit: ("dcmcjpeg", "+ee", "+q", "95"),
    uid.JPEGLSLossless: ("dcmcjpls", "+el"),
    uid.JPEGLSNearLossless: ("dcmcjpls", "+en", "+md", "2"),
    uid.JPEG2000Lossless: ("gdcmconv", "--j2k"),
    uid.JPEG2000: ("gdcmconv", "--j2k", "--lossy", "-r", "5"),
}


def _rewritten(film: Dataset, syntax: uid.UID) -> bytes:
    copy = pydicom.dcmread(io.BytesIO(written(film)))
    if syntax == uid.ExplicitVRBigEndian:
        for element in copy.iterall():
            if element.VR == "OW":
                element.value = np.frombuffer(element.value, "<u2").astype(">u2").tobytes()
    copy.file_meta.TransferSyntaxUID = syntax
    content = io.BytesIO()
    pydicom.dcmwrite(content, copy, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return content.getvalue()


def _wrapped(film: Dataset, syntax: uid.UID, codestream: bytes) -> bytes:
    copy = pydicom.dcmread(io.BytesIO(written(film)))
    copy.file_meta.TransferSyntaxUID = syntax
    copy.PixelData = encapsulate([codestream])
    copy["PixelData"].VR = "OB"
    return written(copy)


def lut(entries: npt.NDArray[np.unsignedinteger], *, first: int, bits: int) -> Dataset:
    """Return an item of Modality LUT or VOI LUT Sequence; entries of dtype u1 are packed two to a word."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) & 0xFFFF, first, bits])
    table.add_new("LUTData", "OW", entries.tobytes())
    return table


def with_text_elements(content: bytes, values: Mapping[tuple[int, int], str]) -> bytes:
    """Return the film with unchecked decimal strings before Pixel Data; pydicom does not write invalid ones."""
    at = content.rindex(b"\xe0\x7f\x10\x00")
    raw = b""
    for (group, element), value in sorted(values.items()):
        padded = value.encode() + b" " * (len(value) % 2)
        raw += group.to_bytes(2, "little") + element.to_bytes(2, "little") + b"DS" + len(padded).to_bytes(2, "little")
        raw += padded
    return content[:at] + raw + content[at:]


def part10(path: Path) -> bytes:
    """Return the film at `path` as the receiver stores it; one of the real films has no preamble and no file meta."""
    content = path.read_bytes()
    if content[128:132] == b"DICM":
        return content
    syntax = uid.ImplicitVRLittleEndian.encode() + b"\0"
    return bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax + content
