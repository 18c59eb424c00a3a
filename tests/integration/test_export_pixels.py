"""Pixels of exported films in every transfer syntax: the same samples, and nothing that stood beside them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate, generate_frames

from cxr_node.archive.folder import FolderArchive
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.export.film import LeftOut, NotExported, deidentified_film
from cxr_node.export.header import policy
from cxr_node.export.pseudonyms import Pseudonyms
from cxr_node.pixels.parsing import parse
from cxr_node.report.source import Observer
from tests.support import canaries, pixel_films

CANARY = b"CANARYCOMMENT!"
COMMENT = b"\xff\xfe" + (len(CANARY) + 2).to_bytes(2, "big") + CANARY
"""Comment of JPEG and JPEG-LS (ISO/IEC 10918-1 section B.2.4.5)."""
WITH_COMMENTS = {uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSLossless}
NAMED = Identity(
    sop_class_uid=Uid(uid.DigitalXRayImageStorageForPresentation),
    sop_instance_uid=Uid("1.2.3.4"),
    series_instance_uid=Uid("1.2.3"),
    study_instance_uid=Uid("1.2"),
    patient_key=Digest("0" * 64),
)
READING = Reading(film=NAMED, geometry=None, grayscale="", prediction=None, not_analysed=Reason.VIEW)


def exported(content: bytes, folder: FolderArchive) -> bytes:
    """Return the file of a de-identified film."""
    context = ComposeContext(archive=folder, kinds=(), observer=Observer())
    rules = policy(frozenset(), Pseudonyms(secret="s" * 32))
    return deidentified_film(context, parse(content), READING, rules, patient="patient").instance.content


def with_canaries(content: bytes, syntax: uid.UID) -> bytes:
    """Return a film with bytes behind its frame, and a comment in it where the transfer syntax has comments."""
    film = dcmread(BytesIO(content))
    if syntax == uid.RLELossless:  # its decoder refuses bytes behind the segments
        return content
    if syntax.is_encapsulated:
        (frame,) = generate_frames(film.PixelData, number_of_frames=1)
        begin = frame[:2] + COMMENT + frame[2:] if syntax in WITH_COMMENTS else frame
        film.PixelData = encapsulate([begin + CANARY])
        film["PixelData"].is_undefined_length = True
    else:
        film.PixelData += CANARY
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [*pixel_films.LOSSLESS, *pixel_films.LOSSY], ids=lambda syntax: syntax.keyword)
def test_samples_are_kept_and_what_stands_beside_them_is_not(syntax: uid.UID, tmp_path: Path) -> None:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    stored = pixel_films.chest(bits=bits)
    changes = {"BitsAllocated": 8, "HighBit": 7} if bits == 8 else {}
    film = pixel_films.data_set(stored, bits_stored=bits, changes=changes)
    planted = with_canaries(pixel_films.encoded(film, syntax), syntax)

    content = exported(planted, FolderArchive(tmp_path))

    again = dcmread(BytesIO(content))
    assert CANARY in planted or syntax in (uid.DeflatedExplicitVRLittleEndian, uid.RLELossless)
    assert [sought for sought in canaries.SOUGHT if sought in content] == []
    assert again.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    difference = np.abs(again.pixel_array.astype(int) - stored)
    assert difference.max() <= (0 if syntax in pixel_films.LOSSLESS else 0.05 * (1 << bits))


def test_a_color_film_is_left_out(tmp_path: Path) -> None:
    film = pixel_films.data_set(pixel_films.chest(), changes={"PhotometricInterpretation": "PALETTE COLOR"})

    with pytest.raises(NotExported, match=LeftOut.COLOR):
        exported(pixel_films.written(film), FolderArchive(tmp_path))
