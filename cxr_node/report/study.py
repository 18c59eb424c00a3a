"""Collation of the films of one study, with a refusal where they may be of two patients."""

from collections.abc import Sequence, Set
from dataclasses import replace

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.source import ReportedFilm


def collate(films: Sequence[ReportedFilm]) -> tuple[ReportedFilm, ...]:
    """Return the films with safe headers, read ones first, in an order independent of arrival.

    Raises
    ------
    GiveUp
        IDENTITY: the films are of two studies, two patients or two orders, a header is not that of its reading, or
        none can be read. A result of theirs might be filed under the wrong patient, or under none.
    ValueError
        If there is no film.
    """
    if not films:
        raise ValueError("a report needs at least one film")
    for film in films:
        _require_own_header(film)
    collated = tuple(
        replace(film, header=safe_header(film.header, character_sets=film.character_sets)) for film in films
    )
    with_header = [film for film in collated if not film.is_named_by_row]
    if not with_header:
        raise GiveUp(Reason.IDENTITY, "no film of the study has a header that is the received one")
    _require_one("study", {film.reading.film.study_instance_uid for film in collated})
    _require_one("patient", {film.reading.film.patient_key for film in collated})
    _require_one("Patient ID", {_patient(film) for film in with_header})
    _require_one("Accession Number", {str(film.header.AccessionNumber or "") for film in collated} - {""})
    return tuple(sorted(collated, key=_position))


def _position(film: ReportedFilm) -> tuple[bool, bool, str]:
    return film.is_named_by_row, film.reading.prediction is None, film.reading.film.sop_instance_uid


def _patient(film: ReportedFilm) -> tuple[str, str]:
    return str(film.header.PatientID or ""), str(film.header.get("IssuerOfPatientID") or "")


def _require_own_header(film: ReportedFilm) -> None:
    header, identity = film.header, film.reading.film
    if film.is_named_by_row and film.reading.prediction is not None:
        raise GiveUp(Reason.IDENTITY, f"the header of {identity.sop_instance_uid} is no longer the received one")
    if _uid(header, "SOPInstanceUID") != identity.sop_instance_uid:
        raise GiveUp(Reason.IDENTITY, f"header of another instance than {identity.sop_instance_uid}")
    if _uid(header, "StudyInstanceUID") != identity.study_instance_uid:
        raise GiveUp(Reason.IDENTITY, f"header of another study than that of {identity.sop_instance_uid}")


def _uid(header: Dataset, keyword: str) -> str:
    """Return a UID as received: a safe header has none that is invalid."""
    element = header.get_item(keyword, keep_deferred=True) if keyword in header else None
    value = b"" if element is None or element.value is None else element.value
    return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else str(value)


def _require_one(name: str, values: Set[object]) -> None:
    """Raise GiveUp if there are several; the message is logged, so it quotes no value."""
    if len(values) > 1:
        raise GiveUp(Reason.IDENTITY, f"{len(values)} values of {name} in one study")
