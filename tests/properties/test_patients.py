"""Patients of two films: any name in any character set is the same name in another form, and order decides nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.patient import Patient, contradict, patient_of
from tests.support import films
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


@st.composite
def person_names(draw: st.DrawFn) -> tuple[str, str]:
    """Return a Specific Character Set and a Person Name in it, of one to five components."""
    character_set = draw(st.sampled_from(sorted(CHARACTERS)))
    component = st.text(CHARACTERS[character_set], max_size=6).map(str.strip)
    components = draw(st.lists(component, min_size=1, max_size=5).filter(any))
    return character_set, "^".join(components)


@st.composite
def respelled(draw: st.DrawFn, name: str) -> str:
    """Return the same name with padding, delimiters behind it, or in capitals where that loses nothing."""
    upper = name.upper() if name.upper().lower() == name.lower() else name
    padding, case = draw(st.sampled_from(["", " ", "  "])), draw(st.sampled_from([name, upper]))
    delimiters = "^" * draw(st.integers(0, 4 - name.count("^")))
    components = case.split("^")
    return "^".join(f"{component}{padding}" for component in components) + delimiters


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_name_in_any_character_set_and_spelling_is_one_name(data: st.DataObject) -> None:
    character_set, name = data.draw(person_names())
    other = data.draw(respelled(name))

    one = _patient(name, character_set)
    in_unicode = _patient(other, "ISO_IR 192")

    assert any(map(any, one.name))
    assert not contradict(one, in_unicode)
    assert not contradict(in_unicode, one)


@settings(max_examples=300, deadline=None)
@given(person_names(), person_names(), st.sampled_from(["", "P1", "P2"]), st.sampled_from(["", "P1"]))
def test_a_contradiction_is_one_from_both_sides(
    one: tuple[str, str], other: tuple[str, str], first_id: str, second_id: str
) -> None:
    first, second = _patient(one[1], one[0], first_id), _patient(other[1], other[0], second_id)

    assert contradict(first, second) == contradict(second, first)
    assert not contradict(first, first)
    assert contradict(first, second) or {first_id, second_id} != {"P1", "P2"}


def _patient(name: str, character_set: str, patient_id: str = "P1") -> Patient:
    encoded = name.encode(python_encoding[character_set])
    header = Dataset()
    header.update(films.dx(rows=2, columns=2))
    values = {"SpecificCharacterSet": character_set.encode(), "PatientName": encoded, "PatientID": patient_id.encode()}
    return patient_of(safe_header(with_bytes(header, values)))
