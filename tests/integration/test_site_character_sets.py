"""Films whose sender declares a wrong character set, where the site says what they are in."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.composing.context import CharacterSets
from cxr_node.config import ConfigurationError, parse
from cxr_node.db.database import Database
from tests.support import films
from tests.support.node import InProcessNode, received
from tests.support.queue import SENDER
from tests.unit.report.studies import with_bytes

pytestmark = pytest.mark.ci_on_postgresql

SENT = "王^小东".encode("gb18030")
MISREAD = SENT.decode("latin-1")


def film_in_gb18030() -> Dataset:
    """A film that says it is in Latin-1 and is not."""
    return with_bytes(films.dx(), {"SpecificCharacterSet": b"ISO_IR 100", "PatientName": SENT})


@pytest.mark.parametrize(
    ("character_sets", "name"),
    [
        ({SENDER.calling_ae_title: ("GB18030",)}, "王^小东"),
        ({"": ("GB18030",)}, "王^小东"),
        ({"": ("ISO_IR 192",), SENDER.calling_ae_title: ("GB18030",)}, "王^小东"),
        ({"OTHER": ("GB18030",)}, MISREAD),
        ({}, MISREAD),
    ],
    ids=["of the sender", "of all", "of the sender before that of all", "of another", "of none"],
)
def test_a_name_is_decoded_with_the_character_set_set_for_its_sender(
    character_sets: CharacterSets, name: str, database: Database, tmp_path: Path
) -> None:
    film = film_in_gb18030()
    assert SENT in received(film).content
    node = InProcessNode(database, tmp_path, character_sets=character_sets)
    node.accept(film)
    node.work()

    (report,) = node.pacs.reports()
    assert (report.SpecificCharacterSet, str(report.PatientName)) == ("ISO_IR 192", name)
    assert name.encode() in node.pacs.received[0]


def test_the_received_film_is_not_changed(database: Database, tmp_path: Path) -> None:
    film = film_in_gb18030()
    node = InProcessNode(database, tmp_path, character_sets={"": ("GB18030",)})
    node.accept(film)
    node.work()

    stored = {key: node.archive.get(key) for key in node.archive.stored_keys()}
    assert received(film).content in stored.values()
    assert dcmread(BytesIO(received(film).content)).get_item("PatientName").value.strip() == SENT


def test_an_undefined_character_set_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'UTF-8' is no defined term"):
        parse({"report": {"character_sets": [{"character_sets": ["UTF-8"]}]}})
    with pytest.raises(ConfigurationError, match="the name 'DX1' is there twice"):
        parse({"report": {"character_sets": [{"ae_title": "DX1", "character_sets": ["GBK"]}] * 2}})
    with pytest.raises(ConfigurationError, match="did you mean 'ae_title'"):
        parse({"report": {"character_sets": [{"aetitle": "DX1", "character_sets": ["GBK"]}]}})


def test_a_character_set_of_a_sender_is_a_setting() -> None:
    settings = parse({"report": {"character_sets": [{"ae_title": "DX1", "character_sets": ["", "ISO 2022 IR 87"]}]}})
    (one,) = settings.report.character_sets
    assert (one.ae_title, one.character_sets) == ("DX1", ("", "ISO 2022 IR 87"))
