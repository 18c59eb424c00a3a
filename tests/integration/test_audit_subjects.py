"""Subjects of audit messages: the fast parser and the full one agree."""

from pathlib import Path

import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.audit.subject import parse_subject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.receive.identify import identify
from cxr_node.wiring import audit_decorators
from tests.support import films
from tests.support.films import data_set_offset
from tests.support.node import received

SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)


def arrived(film: Dataset, syntax: uid.UID, folder: Path) -> Instance:
    film.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.ExplicitVRBigEndian:
        film.PixelData = b"\0" * len(film.PixelData)
    path = folder / "film.dcm"
    film.save_as(
        path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )
    whole = received(films.dx())
    return Instance(
        identity=received(film).identity,
        transfer_syntax_uid=Uid(syntax),
        digest=whole.digest,
        content=path.read_bytes(),
    )


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: str(syntax.keyword))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"AccessionNumber": "A-9", "PatientID": "P 17 "},
        {"PatientID": ""},
        {"PatientID": None, "AccessionNumber": None},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientID": "P-ÄÖ"},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientID": "山田"},
        {"PatientID": ["P1", "P2"]},
    ],
    ids=["as it is", "padded", "empty", "absent", "UTF-8", "with escape sequences", "several"],
)
def test_both_ways_of_parsing_a_subject_agree(changes: dict[str, object], syntax: uid.UID, tmp_path: Path) -> None:
    film = films.dx(changes=changes)
    film_that_arrived = arrived(film, syntax, tmp_path)

    assert audit_decorators.subject(film_that_arrived) == parse_subject(film_that_arrived.content)


def test_a_patient_id_given_twice_is_one_value_everywhere() -> None:
    """Audit trail, row and reading take the first: a parser that takes the last would report another patient."""
    film = films.dx(changes={"PatientID": "REAL"})
    content = bytes(received(film).content)
    pixel_data = content.rindex(b"\xe0\x7f\x10\x00OW")
    private = b"\x21\x00\x10\x00LO\x04\x00TEST"
    fake = b"\x10\x00\x20\x00LO\x04\x00FAKE"
    twice = content[:pixel_data] + private + fake + content[pixel_data:]
    offset = data_set_offset(twice)

    assert parse_subject(twice).patient_id == "REAL"
    assert parse(twice, limits=Limits()).PatientID == "REAL"
    identity = identify(memoryview(twice)[offset:], transfer_syntax_uid=Uid(uid.ExplicitVRLittleEndian))
    assert identity.patient_key == received(film).identity.patient_key
