"""Our P-values against two programs of other people: DCMTK's dcm2pnm and highdicom, within one gray level of 8 bits.

Where one of them differs, the test says which section of the standard decides.
"""

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file

from cxr_node.domain.radiograph import Radiograph
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.sandbox import Sandbox
from tests.support import films, peers
from tests.support.pixel_films import LOSSLESS, LOSSY, chest, data_set, encoded, lut, part10, written

Changes = dict[str, Any]
Gray = npt.NDArray[np.float64]
ONE_LEVEL = 1.0

WINDOW: Changes = {"WindowCenter": 2048, "WindowWidth": 4096}
MONOCHROME1: Changes = {"PhotometricInterpretation": "MONOCHROME1"}
SIGNED: Changes = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
SQUARES = (np.arange(4096) ** 2 // 4096).astype("<u2")
ROOTS = np.sqrt(np.arange(4096) / 4095)

CASES: dict[str, Changes] = {
    "window": {"WindowCenter": 1800, "WindowWidth": 2500},
    "window in rescaled values": {
        "RescaleSlope": 0.5,
        "RescaleIntercept": -300,
        "WindowCenter": 500,
        "WindowWidth": 1500,
    },
    "negative slope": {"RescaleSlope": -1, "RescaleIntercept": 4095} | WINDOW,
    "sigmoid": WINDOW | {"VOILUTFunction": "SIGMOID"},
    "linear exact": WINDOW | {"VOILUTFunction": "LINEAR_EXACT"},
    "several windows": {"WindowCenter": [500, 2000], "WindowWidth": [800, 3000]},
    "VOI LUT of 8 bits": {"VOILUTSequence": [lut((ROOTS * 255).astype("u1"), first=0, bits=8)]},
    "VOI LUT of 12 bits": {"VOILUTSequence": [lut((ROOTS * 4095).astype("<u2"), first=0, bits=12)]},
    "VOI LUT of 16 bits": {"VOILUTSequence": [lut((ROOTS * 65535).astype("<u2"), first=0, bits=16)]},
    "modality LUT": {
        "ModalityLUTSequence": [lut(SQUARES, first=0, bits=16)],
        "WindowCenter": 1500,
        "WindowWidth": 3000,
    },
    "MONOCHROME1": MONOCHROME1 | WINDOW,
    "MONOCHROME1 and shape INVERSE": MONOCHROME1 | WINDOW | {"PresentationLUTShape": "INVERSE"},
    "MONOCHROME1 and shape IDENTITY": MONOCHROME1 | WINDOW | {"PresentationLUTShape": "IDENTITY"},
    "MONOCHROME2 and shape INVERSE": WINDOW | {"PresentationLUTShape": "INVERSE"},
    "high bit above the stored ones": WINDOW | {"HighBit": 15},
    "signed": SIGNED,
    "signed, zeros above the sign": SIGNED,
    "width 0": {"WindowCenter": 2048, "WindowWidth": 0},
    "no window": {},
}
DCMTK_DIFFERS = {
    "MONOCHROME1 and shape IDENTITY": "PS3.3 C.8.11.3.1.2: IDENTITY is for MONOCHROME2; C.7.6.3.1.2 decides",
    "MONOCHROME2 and shape INVERSE": "PS3.3 C.8.11.3.1.2: INVERSE is for MONOCHROME1; C.7.6.3.1.2 decides",
    "width 0": "PS3.3 C.11.2.1.2.1: Window Width shall be 1 or more; then there is no window, as in the next case",
    "no window": "PS3.4 N.2.1.2 leaves identity, nearly black for few bits used; our rule and note: NO_VOI",
}
HIGHDICOM_DIFFERS = {
    "MONOCHROME1 and shape IDENTITY": DCMTK_DIFFERS["MONOCHROME1 and shape IDENTITY"],
    "MONOCHROME2 and shape INVERSE": DCMTK_DIFFERS["MONOCHROME2 and shape INVERSE"],
    "high bit above the stored ones": "PS3.5 8.1.1: the sample ends at High Bit",
    "signed, zeros above the sign": "PS3.5 8.1.1: what lies above High Bit is no part of the sample",
    "width 0": "PS3.3 C.11.2.1.2.1: forbidden; highdicom shows it black",
    "no window": "highdicom raises where there is no VOI; PS3.4 N.2.1.2 allows it",
    "VOI LUT of 12 bits": "PS3.3 C.11.2.1.1: 8 to 16 bits are allowed; highdicom raises but for 8 and 16",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits()) as sandbox:
        yield sandbox


def case(name: str) -> bytes:
    """Return the film of a case, drawn so that it shows a chest the right way round in the end."""
    stored = chest()
    if CASES[name].get("PhotometricInterpretation") == "MONOCHROME1" or name == "negative slope":
        stored = 4095 - stored
    film = data_set(stored - 2048 if name.startswith("signed") else stored, changes=CASES[name])
    if name == "signed":
        film.PixelData = (stored - 2048).astype("<i2").tobytes()
    return written(film)


def eight_bits(film: Radiograph) -> Gray:
    """Return our P-values in gray levels of 8 bits."""
    gray: Gray = np.rint(film.p_values / 257)
    return gray


def dcmtk(content: bytes, folder: Path, *options: str) -> Gray:
    """Return the film as dcm2pnm shows it; JPEG 2000, which it cannot read, after gdcmconv has unpacked it."""
    source, raw, target = folder / "source.dcm", folder / "raw.dcm", folder / "shown.pgm"
    source.write_bytes(content)
    syntax = str(parse(content).file_meta.TransferSyntaxUID)
    program = "dcml2pnm" if syntax in (uid.JPEGLSLossless, uid.JPEGLSNearLossless) else "dcmj2pnm"
    if syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        subprocess.run([peers.program("gdcmconv"), "--raw", source, raw], check=True, capture_output=True, timeout=60)
        source = raw
    arguments = [str(peers.program("dcm2pnm").with_name(program)), *options, str(source), str(target)]
    subprocess.run(arguments, check=True, capture_output=True, timeout=60)
    with Image.open(target) as picture:
        return np.asarray(picture).astype(np.float64)


def voi_options(changes: Changes) -> list[str]:
    """Return the options that tell dcm2pnm to use what the header asks for."""
    if "VOILUTSequence" in changes:
        return ["+Wl", "1"]
    return ["+Wi", "1"] if "WindowCenter" in changes else ["-W"]


def through_our_window(ours: Radiograph) -> list[str]:
    """Return the options that give dcm2pnm the window we chose where the header has none.

    A LINEAR window of width w spans w - 1 (PS3.3 section C.11.2.1.2.1); ours is exact.
    """
    limits = re.search(r"shown from (\S+) to (\S+);", ours.grayscale)
    if limits is None:
        return ["+Wi", "1"]
    low, high = float(limits[1]), float(limits[2])
    return ["+Ww", str((low + high) / 2 + 0.5), str(high - low + 1)]


def distance(ours: Radiograph, theirs: Gray) -> float:
    """Return the greatest difference, in gray levels of 8 bits."""
    return float(np.abs(eight_bits(ours) - theirs).max())


@pytest.mark.parametrize("name", CASES)
def test_dcmtk_shows_the_same(name: str, tmp_path: Path) -> None:
    content = case(name)
    ours = radiograph(parse(content), limits=Limits())

    theirs = dcmtk(content, tmp_path, *voi_options(CASES[name]))

    assert (distance(ours, theirs) <= ONE_LEVEL) == (name not in DCMTK_DIFFERS), DCMTK_DIFFERS.get(name)


@pytest.mark.parametrize("name", CASES)
def test_highdicom_shows_the_same(name: str) -> None:
    content = case(name)
    ours = radiograph(parse(content), limits=Limits())

    try:
        image = highdicom.Image.from_dataset(pydicom.dcmread(io.BytesIO(content)))
        theirs = np.rint(image.get_frame(1, apply_voi_transform=True, apply_presentation_lut=True) * 255)
    except RuntimeError:
        assert name in HIGHDICOM_DIFFERS
        return
    assert (distance(ours, theirs) <= ONE_LEVEL) == (name not in HIGHDICOM_DIFFERS), HIGHDICOM_DIFFERS.get(name)


def test_a_modality_lut_without_voi_is_what_dcmtk_shows_through_our_window(tmp_path: Path, sandbox: Sandbox) -> None:
    content = part10(films.real("CR-ModalitySequenceLUT"))
    ours = radiograph(parse(content), limits=Limits(), sandbox=sandbox)
    assert distance(ours, dcmtk(content, tmp_path, *through_our_window(ours))) <= ONE_LEVEL


REAL = {
    "RG1_J2KI": "+Wi",
    "RG1_JLSN": "+Wi",
    "RG2_J2KR": "+Wi",
    "RG2_JPLL": "+Wi",
    "RG2_JPLY": "+Wi",
    "RG3_JPLL": "+Wi",
    "RG3_RLE": "+Wi",
    "CR-MONO1-10-chest": "+Wi",
    "pseudo_phi_RLE": "+Wi",
    "dog_DX_lateral": "+Wi",
    "siim_SC_JPEG": "-W",
    "nih_DX_in_SC": "-W",
}


@pytest.mark.parametrize(("name", "voi"), REAL.items())
def test_dcmtk_shows_each_real_film_the_same(name: str, voi: str, tmp_path: Path, sandbox: Sandbox) -> None:
    content = part10(films.real(name))
    ours = radiograph(parse(content), limits=Limits(), sandbox=sandbox)
    assert distance(ours, dcmtk(content, tmp_path, *([voi, "1"] if voi == "+Wi" else [voi]))) <= ONE_LEVEL


PYDICOMS = {"JPGExtended.dcm": "12-bit JPEG", "JPEG-lossy.dcm": "12-bit JPEG", "examples_overlay.dcm": "an overlay"}


@pytest.mark.parametrize("name", PYDICOMS)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_dcmtk_shows_films_of_pydicoms_the_same(name: str, tmp_path: Path, sandbox: Sandbox) -> None:
    """Overlays are no part of the picture (PS3.3 section C.9.2), so dcm2pnm is told to leave them out."""
    content = Path(str(get_testdata_file(name))).read_bytes()
    ours = radiograph(parse(content), limits=Limits(), sandbox=sandbox)
    assert distance(ours, dcmtk(content, tmp_path, "-O", *through_our_window(ours))) <= ONE_LEVEL


def test_where_the_header_has_the_polarity_wrong_dcmtk_shows_the_negative(tmp_path: Path, sandbox: Sandbox) -> None:
    content = part10(films.real("siim_SC_wrong_MONOCHROME1"))
    ours = radiograph(parse(content), limits=Limits(), sandbox=sandbox)
    assert distance(ours, 255 - dcmtk(content, tmp_path, "-W")) <= ONE_LEVEL


@pytest.mark.parametrize("syntax", [s for s in (*LOSSLESS, *LOSSY) if s != uid.HTJ2KLossless], ids=lambda s: s.name)
def test_dcmtk_decodes_every_transfer_syntax_to_the_same(syntax: uid.UID, tmp_path: Path, sandbox: Sandbox) -> None:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    film = data_set(chest(bits=bits), bits_stored=bits, changes={"BitsAllocated": 8} if bits == 8 else WINDOW)
    content = encoded(film, syntax)
    ours = radiograph(parse(content), limits=Limits(), sandbox=sandbox)
    assert distance(ours, dcmtk(content, tmp_path, *(["-W"] if bits == 8 else ["+Wi", "1"]))) <= ONE_LEVEL
