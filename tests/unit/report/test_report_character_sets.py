"""Names from every script, byte for byte from the film into UTF-8."""

import pytest

from cxr_node.domain.reasons import Reason
from cxr_node.report.character_sets import decode, encodings_of
from cxr_node.report.tid1500 import compose
from tests import films
from tests.unit.report.studies import NODE, NOW, not_read, parsed, with_bytes

_NAMES = {
    "Japanese, ISO 2022 IR 87": (
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "Japanese, ISO_IR 13": (
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "Korean, ISO 2022 IR 149": (
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "Chinese, GB18030": (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    "Chinese, GBK": (b"GBK", "Wang^XiaoDong=王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
    "Chinese, ISO 2022 IR 58": (
        b"\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东",
    ),
    "Chinese, ISO_IR 192": (b"ISO_IR 192", "Wang^XiaoDong=王^小东".encode(), "Wang^XiaoDong=王^小东"),
    "Russian": (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    "Greek": (b"ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    "Arabic": (b"ISO_IR 127", "قباني^لنزار".encode("iso8859_6"), "قباني^لنزار"),
    "Hebrew": (b"ISO_IR 138", "שרון^דבורה".encode("iso8859_8"), "שרון^דבורה"),
    "Thai": (b"ISO_IR 166", "สมชาย^ใจดี".encode("tis-620"), "สมชาย^ใจดี"),
    "German": (b"ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
    "German, spelled as some modalities do": (b"ISO-IR 100", "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
    "Polish": (b"ISO_IR 101", "Wałęsa^Łucja".encode("iso8859_2"), "Wałęsa^Łucja"),
    "Turkish": (b"ISO_IR 148", "Çavuş^Işık".encode("iso8859_9"), "Çavuş^Işık"),
}


@pytest.mark.parametrize(("declared", "sent", "name"), _NAMES.values(), ids=_NAMES)
def test_a_name_arrives_in_the_report_as_utf_8_with_every_character(declared: bytes, sent: bytes, name: str) -> None:
    header = with_bytes(films.cr(), {"SpecificCharacterSet": declared, "PatientName": sent})
    report = compose([not_read(header, Reason.VIEW)], node=NODE, now=NOW)
    assert name.encode() in report.content
    assert str(parsed(report).PatientName) == name
    assert parsed(report).SpecificCharacterSet == "ISO_IR 192"


def test_an_undeclared_name_in_utf_8_is_understood() -> None:
    header = with_bytes(films.cr(changes={"SpecificCharacterSet": None}), {"PatientName": "Wang=王".encode()})
    assert str(parsed(compose([not_read(header, Reason.VIEW)], node=NODE, now=NOW)).PatientName) == "Wang=王"


def test_bytes_that_no_declared_set_knows_can_be_had_back() -> None:
    sent = b"M\xfcller^\xc3"
    assert decode(sent, encodings_of(["ISO_IR 192"])).encode("latin-1") == sent


def test_an_escape_to_a_set_that_was_not_declared_is_obeyed() -> None:
    assert decode(b"\x1b$B;3ED\x1b(B", encodings_of(["ISO_IR 100"]), is_person_name=True) == "山田"


def test_a_back_slash_inside_a_chinese_character_does_not_split_the_value() -> None:
    description = "許功蓋".encode("gb18030") + "誠".encode("gb18030")
    header = with_bytes(films.cr(), {"SpecificCharacterSet": b"GB18030", "StudyDescription": description})
    report = parsed(compose([not_read(header, Reason.VIEW)], node=NODE, now=NOW))
    assert report.StudyDescription == "許功蓋誠"


def test_an_unknown_character_set_counts_as_the_default_repertoire() -> None:
    assert encodings_of(["ISO_IR 999"]) == ("iso8859",)
    assert encodings_of([]) == ("iso8859",)
