"""Attributes of films from encoded values: character sets, malformed values, what is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.domain.film_attributes import (
    ENCODED_BYTES,
    NAME_CHARACTERS,
    TAGS,
    TEXT_CHARACTERS,
    FilmIdentifiers,
    cleaned,
)
from cxr_node.domain.identifiers import AeTitle

ALL = AttributeRules(keeps_names=True, character_sets={})
DX1 = AeTitle("DX1")
CHARACTER_SET, STUDY_DATE, ACCESSION, MODALITY = 0x00080005, 0x00080020, 0x00080050, 0x00080060
STATION, DESCRIPTION, NAME, PATIENT_ID = 0x00081010, 0x00081030, 0x00100010, 0x00100020


def identifiers(values: dict[int, bytes], rules: AttributeRules = ALL) -> FilmIdentifiers:
    decoded = rules.attributes(values, DX1).identifiers
    assert decoded is not None
    return decoded


@pytest.mark.parametrize(
    ("character_set", "encoded", "text"),
    [
        (b"", b"Chest", "Chest"),
        (b"ISO_IR 100", "Thorax übersicht".encode("latin-1"), "Thorax übersicht"),
        (b"ISO_IR 192 ", "胸部".encode(), "胸部"),
        (b"GB18030", "胸部".encode("gb18030"), "胸部"),
        (b"\\ISO 2022 IR 87", b"\x1b$B6;It\x1b(B", "胸部"),
        (b"", "Größe".encode(), "Größe"),
        (b"ISO_IR 192", "Größe".encode("latin-1"), "Größe"),
        (b"no such set", "Größe".encode("latin-1"), "Größe"),
    ],
)
def test_text_is_decoded_by_the_character_set(character_set: bytes, encoded: bytes, text: str) -> None:
    assert identifiers({CHARACTER_SET: character_set, DESCRIPTION: encoded}).study_description == text


def test_the_character_set_of_a_sender_replaces_the_declared_one() -> None:
    rules = AttributeRules(character_sets={"DX1": ("GB18030",), "": ("ISO_IR 192",)})
    values = {CHARACTER_SET: b"ISO_IR 100", DESCRIPTION: "胸部".encode("gb18030")}

    assert identifiers(values, rules).study_description == "胸部"
    other = rules.attributes({**values, DESCRIPTION: "胸部".encode()}, AeTitle("DX2")).identifiers
    assert other is not None
    assert other.study_description == "胸部"


def test_values_are_cleaned_and_cut() -> None:
    read = identifiers(
        {
            ACCESSION: b" A 1\0\0",
            PATIENT_ID: b"12\x0034\x07\r\n5 ",
            DESCRIPTION: b"x" * 5000,
            NAME: b"Doe^Jane" + b"^" * 5000,
        }
    )

    assert (read.accession_number, read.patient_id) == ("A 1", "12 34 5")
    assert (len(read.study_description), len(read.patient_name)) == (TEXT_CHARACTERS, NAME_CHARACTERS)


def test_a_value_cut_within_a_character_keeps_the_others() -> None:
    encoded = ("x" + "é" * ENCODED_BYTES).encode()[:ENCODED_BYTES]
    read = identifiers({CHARACTER_SET: b"ISO_IR 192", DESCRIPTION: encoded})

    assert read.study_description == "x" + "é" * (TEXT_CHARACTERS - 1)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (b"20260131", "2026-01-31"),
        (b"2026.01.31", "2026-01-31"),
        (b"20260132", ""),
        (b"2026013", ""),
        (b"20260131-20260201", ""),
        ("２０２６０１３１".encode(), ""),
        (b"", ""),
    ],
)
def test_a_study_date_is_a_date_or_nothing(encoded: bytes, text: str) -> None:
    assert identifiers({STUDY_DATE: encoded}).study_date == text


def test_a_modality_is_written_in_capitals() -> None:
    equipment = ALL.attributes({MODALITY: b"dx", STATION: b"Room 1"}, DX1).equipment

    assert (equipment.modality, equipment.station_name, equipment.manufacturer) == ("DX", "Room 1", "")


def test_names_are_kept_only_where_the_rules_say_so() -> None:
    values = {NAME: b"Doe^Jane", PATIENT_ID: b"1"}
    without_names = AttributeRules(character_sets={})
    nothing = AttributeRules(keeps_identifiers=False, character_sets={})

    assert identifiers(values).patient_name == "Doe^Jane"
    assert identifiers(values, without_names) == FilmIdentifiers(patient_id="1")
    assert nothing.attributes(values, DX1).identifiers is None


@given(
    st.dictionaries(
        st.sampled_from(sorted(TAGS)),
        st.one_of(
            st.binary(max_size=ENCODED_BYTES),
            st.sampled_from([b"ISO_IR 192", b"\\ISO 2022 IR 87", b"ISO 2022 IR 6\\ISO 2022 IR 149", b"\x1b$)C\xff"]),
        ),
    )
)
def test_any_bytes_give_printable_text_within_its_limit(values: dict[int, bytes]) -> None:
    attributes = ALL.attributes(values, DX1)

    assert attributes.identifiers is not None
    for part in (attributes.equipment, attributes.identifiers):
        for name in part.__slots__:
            text = getattr(part, name)
            assert text.isprintable()
            assert text == cleaned(text, characters=NAME_CHARACTERS)
            assert len(text.encode()) <= 4 * NAME_CHARACTERS
    assert all(len(text) <= TEXT_CHARACTERS for text in (attributes.identifiers.patient_id,))
