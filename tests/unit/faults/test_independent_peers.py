"""Reading of what DCMTK writes: only films that storescu reports as Success count."""

from pathlib import Path

from cxr_node.faults.independent_peers import _Film, _stored

FILMS = [
    _Film(path=Path(f"/films/{number}.dcm"), study_instance_uid=f"1.{number}", sop_instance_uid="1", patient_id="A")
    for number in range(3)
]
OUTPUT = """\
I: Requesting Association
I: Sending file: /films/0.dcm
I: Received Store Response (Success)
I: Sending file: /films/1.dcm
I: Received Store Response (Refused: OutOfResources)
I: Sending file: /films/2.dcm
XMIT: .
"""


def test_a_film_refused_or_without_response_is_not_stored() -> None:
    assert _stored(FILMS, OUTPUT) == FILMS[:1]


def test_an_association_that_is_not_accepted_stores_nothing() -> None:
    assert _stored(FILMS, "F: Association Request Failed: 0006:031d TCP Initialization Error") == []
