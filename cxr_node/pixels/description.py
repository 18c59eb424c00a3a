"""Image Pixel module of the header (PS3.3 section C.7.6.3), checked before anything is decoded."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import elements
from cxr_node.pixels.limits import Limits

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_SAMPLES = {1: (*MONOCHROME, "PALETTE COLOR"), 3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")}
_CELLS = (8, 16, 32)
_COLOR_CELLS = (8, 16)
_FLOATING = ("FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The Image Pixel module, in the standard's words. A cell is what one sample occupies: Bits Allocated."""

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    planar_configuration: int
    number_of_frames: int

    @property
    def samples(self) -> int:
        """The number of samples in one frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def frame_bytes(self) -> int:
        """The size of one frame, decoded, in bytes."""
        return self.samples * self.bits_allocated // 8

    @property
    def stored_range(self) -> tuple[int, int]:
        """Smallest and largest value of Bits Stored bits."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1


def describe(dataset: Dataset, *, limits: Limits) -> Description:
    """Return the film's Image Pixel module.

    Raises
    ------
    GiveUp
        NO_PIXELS without Pixel Data, Rows or Columns; TOO_LARGE beyond `limits`; COLOR for a photometric
        interpretation that is neither gray nor convertible to gray; DECODE for impossible bits.
    """
    without = missing_pixels(dataset)
    if without is not None:
        raise GiveUp(*without)
    rows, columns = elements.integer(dataset, "Rows") or 0, elements.integer(dataset, "Columns") or 0
    if rows < 1 or columns < 1:
        raise GiveUp(Reason.NO_PIXELS, "Rows (0028,0010) or Columns (0028,0011) is absent or zero")
    samples_per_pixel = _integer(dataset, "SamplesPerPixel", 1)
    if rows * columns * max(samples_per_pixel, 1) > limits.maximum_samples:
        raise GiveUp(
            Reason.TOO_LARGE,
            f"{rows} rows of {columns} columns of {samples_per_pixel} samples exceed {limits.maximum_samples} samples",
        )
    bits_allocated = _integer(dataset, "BitsAllocated", 0)
    bits_stored = _integer(dataset, "BitsStored", bits_allocated)
    description = Description(
        rows=rows,
        columns=columns,
        samples_per_pixel=samples_per_pixel,
        photometric_interpretation=_photometric_interpretation(dataset, samples_per_pixel),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=_integer(dataset, "HighBit", bits_stored - 1),
        is_signed=_integer(dataset, "PixelRepresentation", 0) == 1,
        planar_configuration=_integer(dataset, "PlanarConfiguration", 0),
        number_of_frames=max(_integer(dataset, "NumberOfFrames", 1), 1),
    )
    _check_bits(description)
    return description


def missing_pixels(dataset: Dataset) -> tuple[Reason, str] | None:
    """Return why a data set has no pixels that are read; None if it has Pixel Data (7FE0,0010)."""
    if elements.present(dataset, "PixelData"):
        return None
    if any(elements.present(dataset, keyword) for keyword in _FLOATING):
        return Reason.DECODE, "floating-point pixels (7FE0,0008) or (7FE0,0009): no radiograph has them"
    return Reason.NO_PIXELS, "Pixel Data (7FE0,0010) is absent"


def _integer(dataset: Dataset, keyword: str, default: int) -> int:
    value = elements.integer(dataset, keyword)
    return default if value is None else value


def _photometric_interpretation(dataset: Dataset, samples_per_pixel: int) -> str:
    photometric = elements.text(dataset, "PhotometricInterpretation").upper()
    if photometric not in _SAMPLES.get(samples_per_pixel, ()):
        is_known = any(photometric in names for names in _SAMPLES.values())
        named = photometric if is_known else "none that is known"
        raise GiveUp(
            Reason.COLOR if samples_per_pixel != 1 else Reason.DECODE,
            f"Photometric Interpretation (0028,0004) is {named} with {samples_per_pixel} samples per pixel",
        )
    return photometric


def _check_bits(description: Description) -> None:
    allocated, stored, high = description.bits_allocated, description.bits_stored, description.high_bit
    if allocated == 1:
        raise GiveUp(Reason.DECODE, "Bits Allocated 1: pixels that are black or white only, which no radiograph has")
    if allocated not in _CELLS or not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise GiveUp(Reason.DECODE, f"Bits Allocated {allocated}, Bits Stored {stored} and High Bit {high} cannot be")
    if description.samples_per_pixel == 3:
        is_subsampled = description.photometric_interpretation == "YBR_FULL_422"
        if allocated not in _COLOR_CELLS or high != stored - 1 or (is_subsampled and allocated != 8):
            raise GiveUp(Reason.COLOR, f"color of {stored} bits in {allocated}, up to bit {high}, is not read")
