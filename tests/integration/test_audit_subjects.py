"""Subjects of audit messages: the fast parser and the full one agree."""

from pathlib import Path

import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.audit.subject import parse_subject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.wiring import audit_decorators
from tests.support import films
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
