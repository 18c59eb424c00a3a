"""Time and memory from a DICOM file to network input, compared with the obvious implementation.

    python -m benchmarks.pixels [--rounds 7]

The film is synthetic: 3056 rows of 2500 columns, 14 bits stored in 16, a window, structure and noise. The obvious
implementation is pydicom's `pixel_array`, `apply_modality_lut` and `apply_voi_lut` and scikit-image's `resize`. Both
begin with the bytes of the file and end at 256 by 256 values. The rounds are interleaved, the medians are of one run:
on a busy machine the milliseconds vary, the ratios hardly. "peak" is the most memory of this process at one time beyond
the file's bytes, in decoded frames of 15 MB; "stage" is that of the pixel stage alone, without the reduction.
"""

import argparse
import io
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from openjpeg.utils import encode_array
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from skimage.transform import resize

from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer.prepare import Frame, prepare
from cxr_node.pixels.decoding import decode_first_frame
from cxr_node.pixels.description import describe
from cxr_node.pixels.film import apply_grayscale, radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.suitability import judge_header, judge_picture

ROWS, COLUMNS, BITS = 3056, 2500, 14
SIDE = 256
FRAME = Frame(rows=SIDE, columns=SIDE)
LIMITS = Limits()
HEADING = (
    f"{'transfer syntax':20}{'obvious ms':>11}{'ours ms':>9}{'ratio':>7}{'stage':>7}{'peak':>6}{'obvious peak':>14}"
    "   our steps, ms"
)
DCMCJPEG = Path("/usr/bin/dcmcjpeg")


def film() -> Dataset:
    """Return a film as a detector sends it."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    y, x = row / ROWS, column / COLUMNS
    lungs = sum(np.exp(-(((x - c) / 0.12) ** 4) - ((y - 0.45) / 0.27) ** 4) for c in (0.28, 0.72))
    shade = (0.5 + 0.3 * y) * (1 - 0.5 * lungs) * (1 << BITS)
    noise = np.random.default_rng(1).normal(0, 25, shade.shape)
    stored = np.clip(np.rint(shade + noise), 0, (1 << BITS) - 1).astype("<u2")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, "2.25.1"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, BITS, BITS - 1, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.WindowCenter, dataset.WindowWidth = 1 << (BITS - 1), 1 << BITS
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def written(dataset: Dataset) -> bytes:
    """Return the bytes of the file."""
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


TRANSFER_SYNTAXES = ("uncompressed", "RLE", "JPEG-LS", "JPEG 2000 lossless", "deflated", "JPEG Lossless")


def in_transfer_syntaxes(dataset: Dataset, names: Sequence[str] = TRANSFER_SYNTAXES) -> dict[str, bytes]:
    """Return the film in the named transfer syntaxes; without JPEG Lossless, if DCMTK is not installed."""
    return {name: _in_transfer_syntax(dataset, name) for name in names if name != "JPEG Lossless" or DCMCJPEG.exists()}


def _in_transfer_syntax(dataset: Dataset, name: str) -> bytes:
    copy = pydicom.dcmread(io.BytesIO(written(dataset)))
    match name:
        case "RLE":
            copy.compress(uid.RLELossless)
        case "JPEG-LS":
            copy.compress(uid.JPEGLSLossless)
        case "JPEG 2000 lossless":
            pixels = encode_array(copy.pixel_array, bits_stored=copy.BitsStored, photometric_interpretation=2)
            copy.PixelData = encapsulate([bytes(pixels)])
            copy["PixelData"].VR, copy["PixelData"].is_undefined_length = "OB", True
            copy.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
        case "deflated":
            copy.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        case "JPEG Lossless":
            with tempfile.TemporaryDirectory() as folder:
                source, target = Path(folder, "source.dcm"), Path(folder, "target.dcm")
                source.write_bytes(written(dataset))
                subprocess.run([DCMCJPEG, "+e1", source, target], check=True)
                return target.read_bytes()
    return written(copy)


def obvious(content: bytes) -> np.ndarray:
    """Return the network's input the obvious way."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = 0.0, float((1 << BITS) - 1)
    film_pixels = (values - low) / (high - low)
    return np.asarray(resize(film_pixels, (SIDE, SIDE), anti_aliasing=True))  # type: ignore[no-untyped-call] # scikit-image


def stage(content: bytes, sandbox: Sandbox) -> Radiograph:
    """Return the film as the pixel stage hands it on, the gate included."""
    dataset = parse(content)
    judge_header(dataset, Rules())
    film_pixels = radiograph(dataset, limits=LIMITS, sandbox=sandbox)
    judge_picture(film_pixels, Rules())
    return film_pixels


def ours(content: bytes, sandbox: Sandbox) -> np.ndarray:
    """Return the network's input our way."""
    return prepare(stage(content, sandbox), FRAME)


def steps(content: bytes, sandbox: Sandbox) -> dict[str, Callable[[], object]]:
    """Return our steps one by one."""
    dataset = parse(content)
    described = describe(dataset, limits=LIMITS)
    frame = decode_first_frame(dataset, described, limits=LIMITS, sandbox=sandbox)
    film_pixels = apply_grayscale(dataset, frame)
    return {
        "parse": lambda: parse(content),
        "decode": lambda: decode_first_frame(dataset, described, limits=LIMITS, sandbox=sandbox),
        "gray scale": lambda: apply_grayscale(dataset, frame),
        "judge": lambda: (judge_header(dataset, Rules()), judge_picture(film_pixels, Rules())),
        "reduce": lambda: prepare(film_pixels, FRAME),
    }


def timed(implementations: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each implementation, rounds interleaved, without the first."""
    milliseconds: dict[str, list[float]] = {name: [] for name in implementations}
    for _ in range(rounds + 1):
        for name, run in implementations.items():
            started = time.perf_counter()
            run()
            milliseconds[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(times[1:]) for name, times in milliseconds.items()}


def peak(run: Callable[[], object]) -> float:
    """Return the peak of additional memory, in decoded frames."""
    tracemalloc.start()
    run()
    _, maximum = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return maximum / (ROWS * COLUMNS * 2)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    contents = in_transfer_syntaxes(film())
    with Sandbox(LIMITS) as sandbox:
        print(HEADING)
        for name, content in contents.items():
            both: dict[str, Callable[[], object]] = {
                "obvious": partial(obvious, content),
                "ours": partial(ours, content, sandbox),
            }
            medians = timed(both, rounds)
            parts = timed(steps(content, sandbox), rounds)
            steps_ms = ", ".join(f"{part} {ms:.0f}" for part, ms in parts.items())
            print(
                f"{name:20}{medians['obvious']:11.0f}{medians['ours']:9.0f}{medians['obvious'] / medians['ours']:7.1f}"
                f"{peak(partial(stage, content, sandbox)):7.1f}{peak(both['ours']):6.1f}{peak(both['obvious']):14.1f}"
                f"   {steps_ms}"
            )


if __name__ == "__main__":
    main()
