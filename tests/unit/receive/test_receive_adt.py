"""ADT messages: identifiers, names and dates as DICOM has them, and acknowledgments that quote no patient."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.patient_update import (
    CannotUpdate,
    PatientIdentifier,
    PatientUpdate,
    identifier_after,
    meant_of,
    updates_of,
)
from cxr_node.receive import adt
from cxr_node.receive.adt import AckCode, NotAccepted, acknowledgment, parse_header, parse_updates
from cxr_node.receive.hl7_message import Segment, parse_message
from cxr_node.simulators.his import adt as message

hl7 = pytest.importorskip("hl7")

AT = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def update(content: bytes) -> PatientUpdate:
    (only,) = parse_updates(content, processing_id="P").updates
    return only


def test_names_have_the_groups_and_the_order_of_dicom() -> None:
    content = message("A08", "1", name=("Yamada & Söhne", "Ta|rou", "M", "jun", "Dr", "", "L", "A"))
    assert update(content).name == "Yamada & Söhne^Ta|rou^M^Dr^jun"

    several = content.replace(b"|Yamada", "|山田^太郎^^^^^L^I~Alias^Name^^^^^A^A~やまだ^たろう^^^^^L^P~Yamada".encode())
    assert update(several).name == "Yamada & Söhne^Ta|rou^M^Dr^jun=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("19610203", "19610203"), ("19610203101500", "19610203"), ("1961", None), ("", None), ('""', "")],
)
def test_a_birth_date_is_a_date_or_not_stated(text: str, expected: str | None) -> None:
    assert update(message("A08", "1", birth_date="19990101").replace(b"19990101", text.encode())).birth_date == expected


@pytest.mark.parametrize(("text", "expected"), [("F", "F"), ("A", "O"), ("U", None), ("", None), ('""', "")])
def test_a_sex_is_one_of_dicom_or_not_stated(text: str, expected: str | None) -> None:
    assert update(message("A08", "1", sex=text)).sex == expected


def test_a_merge_has_both_identifiers_and_several_patients() -> None:
    one = message("A40", "RIGHT", prior_id="OLD")
    two = one + message("A40", "B", prior_id="A").split(b"\r", maxsplit=2)[2]
    first, second = parse_updates(two, processing_id="P").updates

    assert first.meant == (PatientIdentifier(patient_id="OLD", issuer="NORTH"),)
    assert first.identifiers == (PatientIdentifier(patient_id="RIGHT", issuer="NORTH"),)
    assert (second.meant[0].patient_id, second.identifiers[0].patient_id) == ("A", "B")


def test_a_message_reads_as_python_hl7_reads_it() -> None:
    content = message("A08", "1", name=("Mül^ler", "J&ö~rg"))
    other = hl7.parse(content.decode("utf-8"))
    pid = next(one for one in parse_message(content) if one.name == "PID")

    assert isinstance(pid, Segment)
    for component in (1, 2):
        assert pid.value(5, component) == other.unescape(str(other[f"PID.F5.R1.C{component}"]))


def test_an_acknowledgment_names_its_message_and_quotes_no_patient() -> None:
    content = message("A40", "RIGHT")
    with pytest.raises(NotAccepted) as raised:
        parse_updates(content, processing_id="P")
    text = acknowledgment(parse_header(content), raised.value.answer, own_id="A1", at=AT).decode("ascii")

    parsed = hl7.parse(text)
    assert [str(parsed[f"MSH.F{number}"]) for number in (3, 5, 6)] == ["CXRNODE", "HIS", "NORTH"]
    assert (str(parsed["MSA.F1"]), str(parsed["MSA.F2"]), str(parsed["ERR.F3.R1.C1"])) == ("AE", "M1", "100")
    assert "RIGHT" not in text
    assert "Filmer" not in text


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"MSH|^~\\&|" + rest))
def test_whatever_is_sent_is_accepted_or_refused_by_a_sentence(content: bytes) -> None:
    with suppress(NotAccepted):
        parse_updates(content, processing_id="P")
    assert acknowledgment(parse_header(content), adt.Answer(code=AckCode.REJECT), own_id="A1", at=AT)


A, B = PatientIdentifier(patient_id="1", issuer="NORTH"), PatientIdentifier(patient_id="1", issuer="SOUTH")
NONE, OTHER = PatientIdentifier(patient_id="1"), PatientIdentifier(patient_id="2", issuer="NORTH")


@pytest.mark.parametrize(
    ("meant", "films", "default", "expected"),
    [
        (A, [A, B, OTHER], "", {A}),
        (A, [NONE, OTHER], "", {NONE}),
        (A, [NONE], "SOUTH", set()),
        (A, [NONE], "NORTH", {NONE}),
        (NONE, [A, OTHER], "", {A}),
        (NONE, [A, B], "SOUTH", {B}),
        (NONE, [A, B], "", None),
        (A, [NONE, B], "", None),
        (A, [NONE, B], "NORTH", {NONE}),
    ],
)
def test_the_films_meant_are_those_of_the_issuer(
    meant: PatientIdentifier, films: list[PatientIdentifier], default: str, expected: set[PatientIdentifier] | None
) -> None:
    update = PatientUpdate(meant=(meant,))
    if expected is None:
        with pytest.raises(CannotUpdate):
            meant_of(update, films, default_issuer=default)
    else:
        assert meant_of(update, films, default_issuer=default) == expected


def test_of_several_issuers_none_is_guessed_for_a_film_without_one() -> None:
    """2 may be another patient's at the first issuer, from which the film may be."""
    update = PatientUpdate(meant=(A, PatientIdentifier(patient_id="2", issuer="SOUTH")))
    film = PatientIdentifier(patient_id="2")

    with pytest.raises(CannotUpdate):
        meant_of(update, [A, film], default_issuer="")
    assert meant_of(update, [A, OTHER], default_issuer="") == {A}
    assert meant_of(update, [A, film], default_issuer="SOUTH") == {A, film}
    assert meant_of(update, [A, film], default_issuer="NORTH") == {A}


def merge(old: str, new: str, **values: str) -> PatientUpdate:
    meant, identifiers = (PatientIdentifier(patient_id=one, issuer="NORTH") for one in (old, new))
    return PatientUpdate(meant=(meant,), identifiers=(identifiers,), **values)


def test_updates_whose_order_decides_are_not_applied() -> None:
    films = {7: A, 8: OTHER}
    for updates in (
        (merge("1", "3"), merge("3", "4")),
        (merge("3", "4"), merge("1", "3")),
        (merge("1", "2"), merge("2", "1")),
        (merge("1", "3"), merge("1", "4")),
        (merge("1", "3", name="a"), merge("1", "3", name="b")),
    ):
        with pytest.raises(CannotUpdate):
            updates_of(updates, films, default_issuer="")

    both = merge("1", "9"), merge("2", "9")
    assert updates_of((*both, both[0]), films, default_issuer="") == {7: both[0], 8: both[1]}
    assert updates_of((merge("5", "6"), merge("6", "7")), films, default_issuer="") == {}


def test_the_new_identifier_is_that_of_the_films_issuer() -> None:
    both = (PatientIdentifier(patient_id="S9", issuer="SOUTH"), PatientIdentifier(patient_id="N9", issuer="NORTH"))
    update = PatientUpdate(meant=(A,), identifiers=both)

    assert identifier_after(update, A, default_issuer="") == both[1]
    assert identifier_after(update, NONE, default_issuer="") == PatientIdentifier(patient_id="N9")
    with pytest.raises(CannotUpdate):
        identifier_after(update, PatientIdentifier(patient_id="3", issuer="WEST"), default_issuer="")
