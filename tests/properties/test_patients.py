"""Patients of two films: any name in any character set is the same name in another form, and order decides nothing."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.patient import Patient, contradict, patient_of, person_name
from tests.support.example_counts import counts
from tests.unit.report.studies import with_bytes

CHARACTERS = {
    "ISO_IR 6": "ABCXYZabcxyz '-.",
    "ISO_IR 100": "ABÄÖÜÉÑßäöüéñ",
    "ISO_IR 101": "ABŁŚŽČłśžč",
    "ISO_IR 109": "ABĦĞħğ",
    "ISO_IR 110": "ABĀĢĶāģķ",
    "ISO_IR 144": "АБВЖЩабвжщ",
    "ISO_IR 127": "ابتجد",
    "ISO_IR 126": "ΑΒΓΔαβγδ",
    "ISO_IR 138": "אבגדה",
    "ISO_IR 148": "ABİĞŞığş",
    "ISO_IR 13": "ﾔﾏﾀﾞﾀﾛｳ",
    "ISO_IR 166": "กขคงจ",
    "ISO_IR 192": "ABÄЖ山田やまだ김",
    "GB18030": "ABß王小东繺",
    "GBK": "AB王小东",
}
"""Specific Character Sets without code extensions, each with letters of its own (PS3.3 section C.12.1.1.2)."""


EXTENSIONS = {
    "\\ISO 2022 IR 87": ("iso2022_jp", b"", "山田太郎やまだ"),
    "\\ISO 2022 IR 159": ("iso2022_jp_1", b"", "彅丯亍山"),
    "\\ISO 2022 IR 149": ("euc_kr", b"\x1b$)C", "洪吉洞홍길동김"),
    "\\ISO 2022 IR 58": ("gb2312", b"\x1b$)A", "张小东王"),
    "\\ISO 2022 IR 100": ("latin-1", b"\x1b-A", "ÄÖÜÉÑ"),
    "\\ISO 2022 IR 101": ("iso8859_2", b"\x1b-B", "ŁŚŽČ"),
    "\\ISO 2022 IR 109": ("iso8859_3", b"\x1b-C", "ĦĞ"),
    "\\ISO 2022 IR 110": ("iso8859_4", b"\x1b-D", "ĀĢĶ"),
    "\\ISO 2022 IR 144": ("iso8859_5", b"\x1b-L", "АБВЖЩ"),
    "\\ISO 2022 IR 127": ("iso8859_6", b"\x1b-G", "ابتجد"),
    "\\ISO 2022 IR 126": ("iso8859_7", b"\x1b-F", "ΑΒΓΔ"),
    "\\ISO 2022 IR 138": ("iso8859_8", b"\x1b-H", "אבגדה"),
    "\\ISO 2022 IR 148": ("iso8859_9", b"\x1b-M", "İĞŞ"),
    "\\ISO 2022 IR 166": ("tis_620", b"\x1b-T", "กขคงจ"),
}
"""Code extensions: each with Python's codec, the escape before each component (PS3.3 table C.12-3 and C.12-4), letters.

The codecs of Japanese write their own escapes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentName:
    """A Person Name, and how a film sends it."""

    name: str
    character_set: str
    encoded: bytes


def components(letters: str) -> st.SearchStrategy[list[str]]:
    """Components of a name group, one to five, not all empty."""
    component = st.text(letters, max_size=6).map(str.strip)
    return st.lists(component, min_size=1, max_size=5).filter(any)


@st.composite
def extended_names(draw: st.DrawFn) -> SentName:
    """Return a name in Latin letters and in another script, whose components are encoded with escapes."""
    character_set = draw(st.sampled_from(sorted(EXTENSIONS)))
    codec, escape, letters = EXTENSIONS[character_set]
    latin = "^".join(draw(components("ABCabc")))
    other = draw(components(letters))
    encoded = b"^".join(escape + component.encode(codec) if component else b"" for component in other)
    return SentName(
        name=f"{latin}={'^'.join(other)}", character_set=character_set, encoded=latin.encode() + b"=" + encoded
    )


@st.composite
def plain_names(draw: st.DrawFn) -> SentName:
    """Return a name in a character set without code extensions."""
    character_set = draw(st.sampled_from(sorted(CHARACTERS)))
    name = "^".join(draw(components(CHARACTERS[character_set])))
    return SentName(name=name, character_set=character_set, encoded=name.encode(python_encoding[character_set]))


NAMES = st.one_of(plain_names(), extended_names())


@st.composite
def respelled(draw: st.DrawFn, name: str) -> SentName:
    """Return the same name in Unicode with padding, delimiters behind it, or in capitals where that loses nothing."""
    upper = name.upper() if name.upper().lower() == name.lower() else name
    padding, case = draw(st.sampled_from(["", " ", "  "])), draw(st.sampled_from([name, upper]))
    groups = []
    for group in case.split("="):
        delimiters = "^" * draw(st.integers(0, 4 - group.count("^")))
        groups.append("^".join(f"{component}{padding}" for component in group.split("^")) + delimiters)
    spelled = "=".join(groups)
    return SentName(name=spelled, character_set="ISO_IR 192", encoded=spelled.encode())


@pytest.mark.slow
@counts(100, 10_000)
def test_a_name_in_any_character_set_and_spelling_is_one_name(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        sent = data.draw(NAMES)
        one, in_unicode = _patient(sent), _patient(data.draw(respelled(sent.name)))

        assert any(map(any, one.name))
        assert one.name == person_name(sent.name)
        assert not contradict(one, in_unicode)
        assert not contradict(in_unicode, one)

    check()


@pytest.mark.slow
@counts(100, 10_000)
def test_a_contradiction_is_one_from_both_sides(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(NAMES, NAMES, st.sampled_from(["", "P1", "P2"]), st.sampled_from(["", "P1"]))
    def check(one: SentName, other: SentName, first_id: str, second_id: str) -> None:
        first, second = _patient(one, first_id), _patient(other, second_id)

        assert contradict(first, second) == contradict(second, first)
        assert not contradict(first, first)
        assert contradict(first, second) or {first_id, second_id} != {"P1", "P2"}

    check()


def _patient(sent: SentName, patient_id: str = "P1") -> Patient:
    values = {
        "SpecificCharacterSet": sent.character_set.encode(),
        "PatientName": sent.encoded,
        "PatientID": patient_id.encode(),
    }
    return patient_of(safe_header(with_bytes(Dataset(), values)))
