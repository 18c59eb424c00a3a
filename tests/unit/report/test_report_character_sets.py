"""Names in every script, from the film's character set to UTF-8."""

import pytest

from cxr_node.domain.reasons import Reason
from cxr_node.report.header.character_sets import decode, encodings_of
from cxr_node.report.kinds import tid1500
from tests.support import films
from tests.unit.report.names import NAMES
from tests.unit.report.studies import composed, not_read, parsed, with_bytes


@pytest.mark.parametrize(("declared", "sent", "name"), NAMES.values(), ids=NAMES)
def test_a_name_arrives_in_the_report_as_utf_8_with_every_character(declared: bytes, sent: bytes, name: str) -> None:
    header = with_bytes(films.cr(), {"SpecificCharacterSet": declared, "PatientName": sent})
    report = composed(tid1500.REPORT, [not_read(header, Reason.VIEW)])
    assert name.encode() in report.content
    assert str(parsed(report).PatientName) == name
    assert parsed(report).SpecificCharacterSet == "ISO_IR 192"


def test_an_undeclared_name_in_utf_8_is_decoded() -> None:
    header = with_bytes(films.cr(changes={"SpecificCharacterSet": None}), {"PatientName": "Wang=王".encode()})
    assert str(parsed(composed(tid1500.REPORT, [not_read(header, Reason.VIEW)])).PatientName) == "Wang=王"


def test_bytes_invalid_in_the_declared_set_can_be_restored() -> None:
    sent = b"M\xfcller^\xc3"
    assert decode(sent, encodings_of(["ISO_IR 192"])).encode("latin-1") == sent


def test_an_escape_to_an_undeclared_set_is_honored() -> None:
    assert decode(b"\x1b$B;3ED\x1b(B", encodings_of(["ISO_IR 100"]), is_person_name=True) == "山田"


def test_a_back_slash_inside_a_chinese_character_does_not_split_the_value() -> None:
    description = "許功蓋".encode("gb18030") + "誠".encode("gb18030")
    header = with_bytes(films.cr(), {"SpecificCharacterSet": b"GB18030", "StudyDescription": description})
    report = parsed(composed(tid1500.REPORT, [not_read(header, Reason.VIEW)]))
    assert report.StudyDescription == "許功蓋誠"


def test_an_unknown_character_set_counts_as_the_default_repertoire() -> None:
    assert encodings_of(["ISO_IR 999"]) == ("iso8859",)
    assert encodings_of([]) == ("iso8859",)
