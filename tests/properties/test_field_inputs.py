"""Fuzzing by kind: VRs, delimiters, ages and body parts, each with the promise that holds for all of its kind."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from cxr_node.composing.film import reported_film
from cxr_node.domain.errors import GiveUp, RejectObject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.age import find_age, is_adult
from cxr_node.pixels.body_part import CHEST_WORDS, BodyPart, find_body_part
from cxr_node.receive.identify import identify
from cxr_node.report.study import collate
from tests.support import films
from tests.support.example_counts import counts
from tests.support.odd_encodings import EXPLICIT, PRIVATE, data_set_of, explicit, file_of, inserted

PLAIN = data_set_of(films.dx(rows=16, columns=16))
COUNTS = counts(150, 20_000)
ENDS = st.lists(
    st.sampled_from(
        [b"\xfe\xff\xdd\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\0\xe0", bytes(4), b"\xff\xff\xff\xff", b"ab"]
    ),
    max_size=5,
).map(b"".join)


def _expect_no_report_without_patient(data_set: bytes, syntax: str) -> None:
    """A film is rejected with a reason, or its report has its own patient, or none leaves."""
    try:
        identity = identify(memoryview(data_set), transfer_syntax_uid=Uid(syntax))
    except RejectObject:
        return
    reading = Reading(
        film=identity, geometry=None, grayscale="", prediction=None, notes=(), not_analysed=Reason.DECODE, detail=""
    )
    film = reported_film(file_of(data_set, syntax), reading)
    if film.is_named_by_row:
        with pytest.raises(GiveUp, match=Reason.IDENTITY.meaning):
            collate([film])
        return
    (collated,) = collate([film])
    plain = identify(memoryview(PLAIN), transfer_syntax_uid=Uid(EXPLICIT))
    if identity.patient_key == plain.patient_key:
        assert collated.header.PatientID == films.PATIENT_ID


@pytest.mark.slow
@COUNTS
def test_any_vr_is_skipped_or_its_film_is_rejected(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(vr=st.binary(min_size=2, max_size=2), value=st.binary(max_size=40), is_long=st.booleans())
    def check(vr: bytes, value: bytes, *, is_long: bool) -> None:
        data_set = inserted(PLAIN, PRIVATE, explicit(PRIVATE, vr, value, is_long=is_long))
        _expect_no_report_without_patient(data_set, EXPLICIT)

    check()


@pytest.mark.slow
@COUNTS
def test_no_ending_of_fragments_gives_a_report_without_patient(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(ending=ENDS, fragment=st.binary(max_size=20), wrong=st.integers(min_value=-4, max_value=4))
    def check(ending: bytes, fragment: bytes, wrong: int) -> None:
        length = struct.pack("<L", max(len(fragment) + wrong, 0))
        content = b"\xfe\xff\0\xe0" + bytes(4) + b"\xfe\xff\0\xe0" + length + fragment + ending
        element = explicit(0x7FE00010, b"OB", content, length=0xFFFFFFFF)
        data_set = PLAIN[: PLAIN.rindex(b"\xe0\x7f\x10\0")] + element
        _expect_no_report_without_patient(data_set, uid.JPEGLosslessSV1)
        _expect_no_report_without_patient(inserted(PLAIN, 0x00081140, ending), EXPLICIT)

    check()


@pytest.mark.slow
@COUNTS
def test_a_film_cut_or_changed_anywhere_has_its_patient_or_no_report(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(at=st.integers(0, len(PLAIN) - 1), change=st.binary(max_size=6), is_cut=st.booleans())
    def check(at: int, change: bytes, *, is_cut: bool) -> None:
        rest = b"" if is_cut else PLAIN[at + len(change) :]
        _expect_no_report_without_patient(PLAIN[:at] + change + rest, EXPLICIT)

    check()


def _film_of(tag: int, value: bytes) -> Dataset:
    element = RawDataElement(BaseTag(tag), "CS", len(value), value, 0, False, True, is_raw=True)
    film = Dataset({BaseTag(tag): element})
    film.StudyDate = "20240501"
    return film


@pytest.mark.slow
@COUNTS
def test_a_stated_age_below_eighteen_is_never_an_adult(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        years=st.integers(1, 17),
        form=st.sampled_from(["{:03d}Y", "{} Y", "{}Y", " {}y ", "{:03d}A", "{} JAHRE", "{}Y6M", "{} years", "{}"]),
        noise=st.sampled_from(["", " ", "?", ".", "x", "\0"]),
    )
    def check(years: int, form: str, noise: str) -> None:
        film = _film_of(0x00101010, (form.format(years) + noise).encode())
        age = find_age(film)
        assert not is_adult(film)
        assert age.is_unreadable or (age.years is not None and age.years < 18)

    check()


@pytest.mark.slow
@COUNTS
def test_any_text_has_an_age_that_is_known_unknown_or_unreadable(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(value=st.binary(max_size=20), tag=st.sampled_from([0x00101010, 0x00100030]))
    def check(value: bytes, tag: int) -> None:
        age = find_age(_film_of(tag, value))
        assert age.years is None or 0 <= age.years <= 120

    check()


@pytest.mark.slow
@COUNTS
def test_a_word_for_the_chest_is_seen_among_others(examples: int) -> None:
    words = st.sampled_from(
        [word for word in CHEST_WORDS if word.isascii() and not word.startswith(("TORACI", "THORACI"))]
    )
    others = st.lists(st.sampled_from(["PORT", "XR", "PA", "1", "ADULT", "BED"]), max_size=3)

    @settings(max_examples=examples, deadline=None)
    @given(word=words, before=others, after=others, separator=st.sampled_from([" ", "_", "/", "-", ", "]))
    def check(word: str, before: list[str], after: list[str], separator: str) -> None:
        value = separator.join([*before, word.lower(), *after]).encode()
        assert find_body_part(_film_of(0x00180015, value)).part is BodyPart.CHEST

    check()
