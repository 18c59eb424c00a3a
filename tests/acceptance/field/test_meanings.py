"""What headers say in the field: body parts in the vendors' languages, ages and birth dates as consoles write them."""

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from cxr_node.domain.film_geometry import View
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import judge_header
from cxr_node.pixels.view import find_view
from tests.support import films

BODY_PART, AGE, BIRTH_DATE = 0x00180015, 0x00101010, 0x00100030
VIEW_POSITION, SERIES_DESCRIPTION = 0x00185101, 0x0008103E
CHESTS = (
    *((name.encode(character_set), character_set) for name, character_set in (
        ("TÓRAX", "latin-1"), ("TÓRAX", "utf-8"), ("Tórax PA", "latin-1"), ("胸部", "gb18030"), ("胸部", "shift_jis"),
        ("胸部正面", "utf-8"), ("흉부", "euc_kr"), ("ГРУДНАЯ КЛЕТКА", "iso8859-5"), ("грудная клетка", "cp1251"),
        ("ΘΩΡΑΚΑΣ", "iso8859-7"), ("Göğüs", "iso8859-9"), ("Płuca", "utf-8"), ("胸部", "iso2022_jp"),
    )),
    *((name.encode(), "ascii") for name in (
        "CHEST", "PORT CHEST", "XR CHEST", "PORTABLE CHEST", "CHESTPA", "CXR", "LUNGE", "POUMON", "TORACE",
        "HEART LUNG", "HEARTLUNG", "KLATKA PIERSIOWA", "BRUSTKORB",
        "CHEST_AP_GRID", "THORAX/ABDOMEN", "1 CHEST", "chest", "RXTORAX",
    )),
)  # fmt: skip
SAY_NOTHING = ("", "UNKNOWN", "OTHER", "N/A", "NA", "NONE", "Unspecified", "?", "--", "XXX", "unbekannt")
OTHERS = (
    "HIP", "ABDOMENCHEST", "RIBS", "TRUNK", "THORACIC SPINE", "TSPINE", "COLUMNA TORACICA", "BREAST", "ABDOMEN",
    "LUNGFISH",
)  # fmt: skip


def judged(values: dict[int, bytes], rules: Rules | None = None) -> Reason | None:
    """Return the gate's reason for an adult chest film with elements of these bytes."""
    return judge_header(film_with(values), rules or Rules()).refused


def film_with(values: dict[int, bytes]) -> Dataset:
    """Return a chest film with elements of these bytes."""
    film = films.dx(changes={"AnatomicRegionSequence": None, "PatientAge": "", "PatientBirthDate": ""})
    for tag, value in values.items():
        film._dict[BaseTag(tag)] = RawDataElement(BaseTag(tag), "CS", len(value), value, 0, False, True, is_raw=True)
    return film


@pytest.mark.parametrize(("value", "character_set"), CHESTS)
def test_a_word_for_the_chest_in_any_script_is_a_chest(value: bytes, character_set: str) -> None:
    assert judged({BODY_PART: value}, Rules(accept_unknown_body_part=False)) is None, character_set


@pytest.mark.parametrize("value", SAY_NOTHING)
def test_a_body_part_that_states_nothing_is_unstated(value: str) -> None:
    assert judged({BODY_PART: value.encode()}) is None
    assert judged({BODY_PART: value.encode()}, Rules(accept_unknown_body_part=False)) is Reason.BODY_PART


@pytest.mark.parametrize("value", OTHERS)
def test_another_body_part_is_refused(value: str) -> None:
    assert judged({BODY_PART: value.encode()}) is Reason.BODY_PART


def test_words_for_the_chest_are_a_setting() -> None:
    assert judged({BODY_PART: b"PORT RIBCAGE"}, Rules(body_parts=("RIBCAGE",))) is None
    assert judged({BODY_PART: b"CHEST"}, Rules(body_parts=("RIBCAGE",))) is Reason.BODY_PART


CHILDREN = (
    ("7 Y", ""), (" 7Y", ""), ("7JAHRE", ""), ("005A", ""), ("7 años", ""), ("003Y7M", ""), ("3Y 7M", ""),
    ("017Y", "19700101"), ("10", "19500101"), ("6 weeks", ""), ("000D", ""), ("", "20200101"), ("", "2020-01-01"),
    ("", "2020.01.01"), ("", "2020"),
    ("", "01/01/2020"), ("", "31.12.2019"), ("", "12/31/2019"), ("", "20200101120000"),
    ("045Y", "20200101"), ("000Y", "20200101"),
)  # fmt: skip
UNREADABLE = (
    ("7J", ""), ("Y045", ""), ("-5Y", ""), ("7?", ""), ("CHILD", ""), ("", "010120"), ("", "20191301"), ("", "born 7"),
    ("", "20991231"),
)  # fmt: skip
ADULTS = (
    ("045Y", ""), ("45 Y", ""), ("045A", ""), ("42", ""), ("216M", ""), ("000Y", "19500101"), ("000D", "19500101"),
    ("", "01/01/1950"), ("Y045", "19500101"), ("045Y", "born 7"), ("", "1950"),
)  # fmt: skip
UNSTATED = (
    ("", ""),
    ("000Y", ""),
    ("0", ""),
    ("999Y", ""),
    ("UNK", ""),
    ("N/A", "00000000"),
    ("", "18000101"),
    ("ANON", "ANON"),
)


def _age_of(age: str, born: str, rules: Rules | None = None) -> Reason | None:
    return judged({AGE: age.encode("latin-1"), BIRTH_DATE: born.encode()}, rules)


@pytest.mark.parametrize(("age", "born"), [*CHILDREN, *UNREADABLE])
def test_a_child_or_an_unreadable_age_is_not_read_as_an_adult(age: str, born: str) -> None:
    assert _age_of(age, born) is Reason.AGE
    assert _age_of(age, born, Rules(minimum_age_years=0)) is None


@pytest.mark.parametrize(("age", "born"), ADULTS)
def test_an_adult_is_read_however_the_age_is_written(age: str, born: str) -> None:
    assert _age_of(age, born, Rules(accept_unknown_age=False)) is None


@pytest.mark.parametrize(("age", "born"), UNSTATED)
def test_an_age_that_states_nothing_is_unstated(age: str, born: str) -> None:
    assert _age_of(age, born) is None
    assert _age_of(age, born, Rules(accept_unknown_age=False)) is Reason.AGE


LATERALS = ("Thorax seitl.", "Thorax seitlich", "TORAX PERFIL", "Tórax perfil", "Thorax profil", "CHEST LAT")


@pytest.mark.parametrize("description", LATERALS)
def test_a_lateral_is_known_by_its_series_in_the_vendors_languages(description: str) -> None:
    film = film_with({VIEW_POSITION: b"", SERIES_DESCRIPTION: description.encode("latin-1")})
    del film.ViewCodeSequence

    assert find_view(film)[0] is View.LATERAL
    assert judge_header(film, Rules()).refused is Reason.VIEW


@pytest.mark.parametrize("position", [b"PA\\LAT", b"LAT\\PA", b"PA/LAT"])
def test_a_view_position_that_is_frontal_and_lateral_is_not_read(position: bytes) -> None:
    assert judged({VIEW_POSITION: position}) is Reason.VIEW


def test_a_view_position_given_twice_is_that_view() -> None:
    film = film_with({VIEW_POSITION: b"PA\\PA"})
    del film.ViewCodeSequence

    assert find_view(film)[0] is View.PA
