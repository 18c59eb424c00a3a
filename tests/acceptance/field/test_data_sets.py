"""Data sets as odd senders encode them: delimiters, VRs, order, group 0002, pixel elements.

`pytest tests/acceptance/field` replays every kind of input from the field; each test names its kind.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, uid

from cxr_node.composing.film import reported_film
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import judge_header
from cxr_node.receive.identify import identify
from cxr_node.report.header.safe_header import safe_header
from tests.support import films
from tests.support.field import READ, field_node
from tests.support.odd_encodings import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    PRIVATE,
    SEQUENCE_END,
    UNDEFINED,
    data_set_in,
    data_set_of,
    deflated,
    explicit,
    file_of,
    implicit,
    in_items,
    inserted,
    moved,
    with_pixels,
)
from tests.support.pixel_films import LOSSLESS, encoded

FILM = films.dx(rows=64, columns=48)
PLAIN = data_set_of(FILM)
PIXELS = FILM.PixelData
END = SEQUENCE_END + bytes(4)
SHORT_ITEM = explicit(0x00080050, b"SH", b"A123")
REFERENCES, REQUESTS = 0x00081140, 0x00400275


def open_sequence(tag: int, inside: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0" + UNDEFINED + inside


def nested(tag: int, depth: int) -> bytes:
    """Return a sequence with `depth` levels, each of a defined length."""
    content = SHORT_ITEM
    for _ in range(depth):
        content = explicit(tag, b"SQ", ITEM + struct.pack("<L", len(content)) + content)
    return content


PLAIN_VALUES = radiograph(parse(file_of(PLAIN, EXPLICIT)), limits=Limits()).p_values


def private(vr: bytes, *, is_long: bool, tag: int = PRIVATE) -> bytes:
    return explicit(tag, vr, b"abcdef", is_long=is_long)


def left_over(transfer_syntax_uid: str) -> bytes:
    return explicit(0x00020010, b"UI", transfer_syntax_uid.encode())


def pixel_element(vr: bytes, content: bytes, *, length: int | None = None) -> bytes:
    return explicit(0x7FE00010, vr, content, length=length, is_long=True)


OPEN_ITEM = ITEM + UNDEFINED
KINDS: dict[str, tuple[bytes, str]] = {
    "group 0002 left in the data set": (left_over(IMPLICIT) + PLAIN, EXPLICIT),
    "group 0002 in Implicit VR": (implicit(0x00020010, EXPLICIT.encode()) + data_set_of(FILM, IMPLICIT), IMPLICIT),
    "group 0002 in Explicit VR before Implicit VR": (left_over(IMPLICIT) + data_set_of(FILM, IMPLICIT), IMPLICIT),
    "group 0002 says JPEG": (left_over(uid.JPEGLosslessSV1) + PLAIN, EXPLICIT),
    "group 0002 says Big Endian": (left_over(BIG) + PLAIN, EXPLICIT),
    "group 0002 says deflated": (left_over(DEFLATED) + PLAIN, EXPLICIT),
    "group 0002 in a deflated data set": (deflated(left_over(EXPLICIT) + PLAIN), DEFLATED),
    "group 0002 behind group 0008": (inserted(PLAIN, 0x00090000, left_over(BIG)), EXPLICIT),
    "VR ?? with a long length": (inserted(PLAIN, PRIVATE, private(b"??", is_long=True)), EXPLICIT),
    "VR ?? with a short length": (inserted(PLAIN, PRIVATE, private(b"??", is_long=False)), EXPLICIT),
    "VR of two blanks": (inserted(PLAIN, PRIVATE, private(b"  ", is_long=False)), EXPLICIT),
    "VR of two NULs": (inserted(PLAIN, PRIVATE, private(b"\0\0", is_long=False)), EXPLICIT),
    "several VRs of two NULs": (
        inserted(PLAIN, PRIVATE, b"".join(private(b"\0\0", is_long=False, tag=PRIVATE + n) for n in range(4))),
        EXPLICIT,
    ),
    "VR RE with a short length": (inserted(PLAIN, PRIVATE, private(b"RE", is_long=False)), EXPLICIT),
    "VR ZZ with a long length": (inserted(PLAIN, PRIVATE, private(b"ZZ", is_long=True)), EXPLICIT),
    "unknown VRs behind the UIDs": (
        inserted(inserted(PLAIN, 0x00290000, private(b"RE", is_long=False, tag=0x00291001)), 0x00290000, b""),
        EXPLICIT,
    ),
    "blank VR behind the UIDs": (
        inserted(PLAIN, 0x00290000, private(b"  ", is_long=False, tag=0x00291001)),
        EXPLICIT,
    ),
    "Implicit VR element among explicit ones": (inserted(PLAIN, PRIVATE, implicit(PRIVATE, b"abcdef")), EXPLICIT),
    "Implicit VR length that reads as a VR": (
        inserted(PLAIN, PRIVATE, implicit(PRIVATE, b"x" * 0x4F4C)),
        EXPLICIT,
    ),
    "Implicit VR element behind the UIDs": (
        inserted(PLAIN, 0x00290000, implicit(0x00291001, b"abcdef")),
        EXPLICIT,
    ),
    "Implicit VR data set on an Explicit VR context": (data_set_of(FILM, IMPLICIT), EXPLICIT),
    "Explicit VR data set on an Implicit VR context": (PLAIN, IMPLICIT),
    "UN of undefined length": (
        inserted(
            PLAIN,
            PRIVATE,
            b"\x09\0\x01\x10UN\0\0" + UNDEFINED + OPEN_ITEM + implicit(0x00080100, b"ABC") + ITEM_END + bytes(4) + END,
        ),
        EXPLICIT,
    ),
    "item ended by its sequence's delimiter, before the UIDs": (
        inserted(PLAIN, REFERENCES, open_sequence(REFERENCES, OPEN_ITEM + SHORT_ITEM + END)),
        EXPLICIT,
    ),
    "item ended by its sequence's delimiter, behind the UIDs": (
        inserted(PLAIN, REQUESTS, open_sequence(REQUESTS, OPEN_ITEM + SHORT_ITEM + END)),
        EXPLICIT,
    ),
    "sequence without items and delimiter": (inserted(PLAIN, REQUESTS, open_sequence(REQUESTS, b"")), EXPLICIT),
    "item delimiter with a length": (
        inserted(PLAIN, REQUESTS, open_sequence(REQUESTS, OPEN_ITEM + SHORT_ITEM + ITEM_END + b"\x04\0\0\0" + END)),
        EXPLICIT,
    ),
    "stray item delimiter in front": (inserted(PLAIN, PRIVATE, ITEM_END + bytes(4)), EXPLICIT),
    "stray item delimiter behind the data set": (PLAIN + ITEM_END + bytes(4), EXPLICIT),
    "Study Instance UID behind Pixel Data": (moved(PLAIN, 0x0020000D, None), EXPLICIT),
    "Study Instance UID behind group 0028": (moved(PLAIN, 0x0020000D, 0x7FE00000), EXPLICIT),
    "SOP Instance UID behind Study Instance UID": (moved(PLAIN, 0x00080018, 0x0020000E), EXPLICIT),
    "Patient ID behind group 0028": (moved(PLAIN, 0x00100020, 0x7FE00000), EXPLICIT),
    "UID twice": (inserted(PLAIN, 0x00080019, explicit(0x00080018, b"UI", b"1.2.3")), EXPLICIT),
    "Data Set Trailing Padding": (PLAIN + explicit(0xFFFCFFFC, b"OB", bytes(200)), EXPLICIT),
    "zeros behind the data set": (PLAIN + bytes(130), EXPLICIT),
    "text behind the data set": (PLAIN + b"-- vendor trailer 1.0 -- no DICOM here --", EXPLICIT),
    "wrong group lengths": (
        inserted(PLAIN, 0x00100000, explicit(0x00100000, b"UL", struct.pack("<L", 99999))),
        EXPLICIT,
    ),
    "deflated": (deflated(PLAIN), DEFLATED),
    "deflated with a header of zlib": (deflated(PLAIN, has_zlib_header=True), DEFLATED),
    "pixels of undefined length in no item": (
        with_pixels(PLAIN, pixel_element(b"OW", PIXELS, length=0xFFFFFFFF) + END),
        EXPLICIT,
    ),
    "native pixels in one item": (
        with_pixels(PLAIN, pixel_element(b"OB", in_items(PIXELS) + END, length=0xFFFFFFFF)),
        EXPLICIT,
    ),
    "native pixels in two items": (
        with_pixels(PLAIN, pixel_element(b"OB", in_items(PIXELS[:1000], PIXELS[1000:]) + END, length=0xFFFFFFFF)),
        EXPLICIT,
    ),
    "native pixels in one item without a delimiter": (
        with_pixels(PLAIN, pixel_element(b"OB", in_items(PIXELS), length=0xFFFFFFFF)),
        EXPLICIT,
    ),
    "native pixels as UN": (with_pixels(PLAIN, pixel_element(b"UN", PIXELS)), EXPLICIT),
    "native pixels of 16 bits as OB": (with_pixels(PLAIN, pixel_element(b"OB", PIXELS)), EXPLICIT),
    "Pixel Data twice": (PLAIN + pixel_element(b"OW", bytes(128)), EXPLICIT),
}
BROKEN: dict[str, tuple[bytes, str]] = {
    "the data set ends within Pixel Data": (PLAIN[:-300], EXPLICIT),
    "deflated, cut after three quarters": (deflated(PLAIN)[: len(deflated(PLAIN)) * 3 // 4], DEFLATED),
    "native pixels under JPEG": (PLAIN, uid.JPEGLosslessSV1),
    "pixels short by a row": (with_pixels(PLAIN, pixel_element(b"OW", PIXELS[:-96])), EXPLICIT),
    "a fragment is cut": (
        with_pixels(PLAIN, pixel_element(b"OB", in_items(PIXELS)[:-100], length=0xFFFFFFFF)),
        EXPLICIT,
    ),
    "a sequence's length is wrong": (
        inserted(PLAIN, REQUESTS, explicit(REQUESTS, b"SQ", ITEM + b"\x0c\0\0\0" + SHORT_ITEM, length=22)),
        EXPLICIT,
    ),
    "sequences nested 100 deep, before the UIDs": (inserted(PLAIN, REFERENCES, nested(REFERENCES, 100)), EXPLICIT),
}
REJECTED: dict[str, tuple[bytes, str, str]] = {
    "not deflated under deflated": (PLAIN, DEFLATED, "inflated"),
    "Big Endian on a Little Endian context": (data_set_of(FILM, BIG), EXPLICIT, "not a data set"),
    "cut before the UIDs": (PLAIN[:200], EXPLICIT, "not a data set"),
    "no Study Instance UID": (moved(PLAIN, 0x0020000D, None)[:-74], EXPLICIT, "not a data set|missing"),
}
ENCAPSULATED = [s for s in LOSSLESS if s.is_compressed and s not in (DEFLATED, uid.HTJ2KLossless)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_oddly_encoded_film_is_read_with_its_own_pixels(kind: str) -> None:
    _expect_whole_film(*KINDS[kind])


def _expect_whole_film(data_set: bytes, syntax: str) -> None:
    """Expect the identity, the gate's verdict, the pixels and the header in the report of the plain film."""
    identity = identify(memoryview(data_set), transfer_syntax_uid=Uid(syntax))
    assert identity == identify(memoryview(PLAIN), transfer_syntax_uid=Uid(EXPLICIT))
    dataset = parse(file_of(data_set, syntax))
    assert judge_header(dataset, Rules()) == judge_header(parse(file_of(PLAIN, EXPLICIT)), Rules())
    assert (radiograph(dataset, limits=Limits()).p_values == PLAIN_VALUES).all()
    reading = Reading(
        film=identity,
        geometry=None,
        grayscale="",
        prediction=None,
        notes=(),
        not_analysed=Reason.DECODE,
        detail="",
    )
    film = reported_film(file_of(data_set, syntax), reading)
    assert not film.is_named_by_row
    assert str(safe_header(film.header).PatientName) == films.PATIENT_NAME


ENDINGS: dict[str, Callable[[bytes], bytes]] = {
    "no delimiter": lambda data_set: data_set[:-8],
    "zeros for the delimiter": lambda data_set: data_set[:-8] + bytes(8),
    "zeros before the delimiter": lambda data_set: data_set[:-8] + bytes(12) + END,
    "half a delimiter": lambda data_set: data_set[:-4],
    "an item's delimiter": lambda data_set: data_set[:-8] + ITEM_END + bytes(4),
    "padding for the delimiter": lambda data_set: data_set[:-8] + explicit(0xFFFCFFFC, b"OB", bytes(20)),
    "group 0002 in front": lambda data_set: left_over(EXPLICIT) + data_set,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda syntax: syntax.name)
def test_fragments_without_their_delimiter_are_read(ending: str, syntax: uid.UID) -> None:
    data_set = data_set_in(encoded(FILM, syntax))
    assert data_set.endswith(END)

    _expect_whole_film(ENDINGS[ending](data_set), syntax)


@pytest.mark.parametrize("beside_good", [False, True])
def test_broken_films_are_reported_under_their_own_patient(tmp_path: Path, *, beside_good: bool) -> None:
    """Alone with their reason; beside a good film in its report, which they do not hold back."""
    with field_node(tmp_path) as node:
        for number, kind in enumerate(BROKEN):
            data_set, syntax = BROKEN[kind]
            assert not node.send(_of_study(data_set, number, is_deflated=syntax == DEFLATED), syntax), kind
        for number in range(len(BROKEN) if beside_good else 0):
            good = films.dx(rows=64, columns=48, changes={"SOPInstanceUID": f"1.2.3.{number}"})
            assert not node.send(_of_study(data_set_of(good), number, instance=f"1.2.3.{number}"))
        outcomes, reports = node.outcomes(), node.sent

    assert outcomes == [Reason.DECODE] * len(BROKEN) + [READ] * (len(BROKEN) if beside_good else 0)
    assert [report.PatientID for report in reports] == [films.PATIENT_ID] * len(BROKEN)
    assert {report.StudyInstanceUID for report in reports} == {_study(number) for number in range(len(BROKEN))}
    assert {len(_evidence(report)) for report in reports} == {2 if beside_good else 1}


def _study(number: int) -> str:
    return f"{FILM.StudyInstanceUID[:-2]}{number + 10}"


def _of_study(data_set: bytes, number: int, *, is_deflated: bool = False, instance: str = "") -> bytes:
    """Return the film as one of another study, with an instance UID of its own unless it has one."""
    if is_deflated:
        whole = _of_study(PLAIN, number)
        return deflated(whole)[: len(deflated(whole)) * 3 // 4]
    moved_film = data_set.replace(FILM.StudyInstanceUID.encode(), _study(number).encode())
    if instance:
        return moved_film
    return moved_film.replace(FILM.SOPInstanceUID.encode(), f"{FILM.SOPInstanceUID[:-2]}{number + 10}".encode())


def _evidence(report: Dataset) -> set[str]:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    return {
        image.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }


@pytest.mark.parametrize("kind", REJECTED)
def test_what_is_no_film_is_rejected_with_the_true_reason(kind: str) -> None:
    data_set, syntax, reason = REJECTED[kind]

    with pytest.raises(RejectObject, match=reason):
        identify(memoryview(data_set), transfer_syntax_uid=Uid(syntax))
