"""Audit of looks at identifiers of films: searches by them, and studies that they were shown of."""

import re
import struct
from collections.abc import Iterable, Mapping, Sequence

from cxr_node.audit import events
from cxr_node.audit.subject import StudySubject
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND
from cxr_node.queries.identifiers import IdentifiedFilm
from cxr_node.wiring.audit import Audit

ELEMENTS = {
    "study_date": (0x0008, 0x0020, b"DA"),
    "accession_number": (0x0008, 0x0050, b"SH"),
    "study_description": (0x0008, 0x1030, b"LO"),
    "patient_name": (0x0010, 0x0010, b"PN"),
    "patient_id": (0x0010, 0x0020, b"LO"),
    "issuer_of_patient_id": (0x0010, 0x0021, b"LO"),
}
"""Identifiers by column: group, element and VR."""

_SPECIFIC_CHARACTER_SET = (0x0008, 0x0005, b"CS")
_QUERY_RETRIEVE_LEVEL = (0x0008, 0x0052, b"CS")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")


def record_search(audit: Audit, matching: Mapping[str, str], *, by: str, address: str = "") -> None:
    """Record a search for films whose identifiers have these values, by column; without any, a look at all of them."""
    audit.record(
        events.searched(
            STUDY_ROOT_FIND,
            _encoded(matching),
            _EXPLICIT_VR_LITTLE_ENDIAN,
            by=by,
            address=address,
            on=audit.application,
            at=audit.clock(),
        )
    )


def record_shown(audit: Audit, films: Iterable[IdentifiedFilm], *, by: str, address: str = "") -> None:
    """Record that identifiers of these films were shown to a person, by one message for each study."""
    studies: dict[int, list[IdentifiedFilm]] = {}
    for film in films:
        studies.setdefault(film.study_id, []).append(film)
    for members in studies.values():
        subject = _subject(members)
        audit.record(events.accessed(subject, by=by, address=address, on=audit.application, at=audit.clock()))


def _subject(films: Sequence[IdentifiedFilm]) -> StudySubject:
    instances: dict[Uid, list[Uid]] = {}
    for film in films:
        instances.setdefault(film.sop_class_uid, []).append(film.sop_instance_uid)
    return StudySubject(
        study_instance_uid=films[0].study_instance_uid,
        patient_id=next((film.patient_id for film in films if film.patient_id), ""),
        accession_number=next((film.accession_number for film in films if film.accession_number), ""),
        instances=tuple(instances.items()),
    )


def _encoded(matching: Mapping[str, str]) -> bytes:
    """Return the identifier of a C-FIND request that searches the same, in Explicit VR Little Endian.

    Encoded here, so that commands that search start without the libraries of the roles.
    """
    elements = {_SPECIFIC_CHARACTER_SET: "ISO_IR 192", _QUERY_RETRIEVE_LEVEL: "STUDY"}
    for column, text in matching.items():
        elements[ELEMENTS[column]] = _ISO_DATE.sub(r"\1\2\3", text) if column == "study_date" else text
    return b"".join(_element(*tag_and_vr, text) for tag_and_vr, text in sorted(elements.items()))


def _element(group: int, element: int, vr: bytes, text: str) -> bytes:
    value = text.encode()
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value
