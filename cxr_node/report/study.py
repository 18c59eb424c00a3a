"""Collation of the films of a study: numbers, one value of each attribute, a refusal where they are of two patients."""

import re
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import date, datetime

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.patient import contradict, patient_of
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study_attributes import study_attributes, with_attributes


def collate(films: Sequence[ReportedFilm]) -> tuple[ReportedFilm, ...]:
    """Return the films with safe headers in the order of their numbers, those with a header of their own first.

    All headers have the Patient and Study attributes of the study: those that `by_patient` has set, or those of
    `films`.

    Raises
    ------
    GiveUp
        IDENTITY: the films are of two studies or two patients, a header is not that of its reading, or
        none can be read. A result of theirs might be filed under the wrong patient, or under none.
    ValueError
        If there is no film.
    """
    if not films:
        raise ValueError("a report needs at least one film")
    for film in films:
        _require_own_header(film)
    collated = with_safe_headers(numbered(films))
    headers = [film.header for film in collated if not film.is_named_by_row]
    if not headers and not any(film.shared for film in collated):
        raise GiveUp(Reason.IDENTITY, "no film of the study has a header that is the received one")
    _require_one("study", {film.reading.film.study_instance_uid for film in collated})
    patients = [patient_of(header) for header in headers]
    if any(contradict(one, other) for one in patients for other in patients):
        raise GiveUp(Reason.IDENTITY, "films of one study name different patients")
    shared = next((film.shared for film in collated if film.shared is not None), None) or study_attributes(headers)
    with_shared = [replace(film, header=with_attributes(film.header, shared)) for film in collated]
    return tuple(sorted(with_shared, key=lambda film: film.is_named_by_row))


def with_safe_headers(films: Sequence[ReportedFilm]) -> list[ReportedFilm]:
    """Return the films with safe headers: those made before, or new ones."""
    return [replace(film, header=_safe_header(film)) for film in films]


def _safe_header(film: ReportedFilm) -> Dataset:
    return safe_header(film.header, character_sets=film.character_sets) if film.safe is None else film.safe


def numbered(films: Sequence[ReportedFilm]) -> tuple[ReportedFilm, ...]:
    """Return the films in the order of their numbers, which are set where the study has several films.

    Films are numbered by time of acquisition, then Series Number, Instance Number and SOP Instance UID. A film that was
    received after a result was composed comes after those that the result has, whose numbers stay as they are.
    """
    if len(films) == 1 or all(film.number for film in films):
        return tuple(films)
    ordered = sorted(films, key=_position)
    return tuple(replace(film, number=number) for number, film in enumerate(ordered, start=1))


def time_of(film: ReportedFilm) -> str:
    """Return the time of acquisition, else of content, as hours and minutes: "10:45"; "" where it is not stated."""
    acquired = acquired_at(film)
    return "" if acquired is None else f"{acquired[1][:2]}:{acquired[1][2:4]}"


def acquired_at(film: ReportedFilm) -> tuple[str, str] | None:
    """Return date (YYYYMMDD) and time (HHMM or HHMMSS) of acquisition or content; None if a part is absent or wrong."""
    day, time = _moment(film.header)
    time = time[:6] if len(time) >= 6 else time[:4]
    try:
        datetime.strptime(f"{day[:8]}{time.ljust(6, '0')}", "%Y%m%d%H%M%S")  # noqa: DTZ007  # checked, not used
    except ValueError:
        return None
    return day[:8], time


def acquired_on(film: ReportedFilm) -> tuple[str, str] | None:
    """Return date (8 digits) and time of acquisition, content or study; the time is "" where it is not stated.

    None if the date is absent or no day of the calendar.
    """
    return acquired_by(film.header)


def acquired_by(header: Dataset) -> tuple[str, str] | None:
    """Return date and time by a header, as `acquired_on` does."""
    day, time = _moment(header)
    try:
        date.fromisoformat(day[:8])
    except ValueError:
        return None
    return day[:8], time


def _position(film: ReportedFilm) -> tuple[int, bool, str, str, int, int, str]:
    day, time = _moment(film.header)
    order = (_whole(film.header, "SeriesNumber"), _whole(film.header, "InstanceNumber"))
    return film.added_after, not time, day, time, *order, film.reading.film.sop_instance_uid


def _moment(header: Dataset) -> tuple[str, str]:
    """Return date (8 digits) and time (at least 4) of acquisition, else of content, else of the study; "" if absent."""
    moment = _digits(header, "AcquisitionDateTime", 12)
    if moment:
        return moment[:8], moment[8:]
    dates = [_digits(header, f"{name}Date", 8) for name in ("Acquisition", "Content", "Study")]
    times = [_digits(header, f"{name}Time", 4) for name in ("Acquisition", "Content")]
    return next(filter(None, dates), ""), next(filter(None, times), "")


def _digits(header: Dataset, keyword: str, least: int) -> str:
    """Return the leading digits of a date or time as it is stored, or "" if there are fewer than `least`."""
    digits = re.match(r"\d*", _stored(header, keyword))
    return digits.group() if digits and len(digits.group()) >= least else ""


def _whole(header: Dataset, keyword: str) -> int:
    text = _stored(header, keyword)
    return int(text) if re.fullmatch(r"\d{1,12}", text) else 0


def _require_own_header(film: ReportedFilm) -> None:
    header, identity = film.header, film.reading.film
    if film.is_named_by_row and film.reading.prediction is not None:
        raise GiveUp(Reason.IDENTITY, f"the header of {identity.sop_instance_uid} is no longer the received one")
    if _stored(header, "SOPInstanceUID") != identity.sop_instance_uid:
        raise GiveUp(Reason.IDENTITY, f"header of another instance than {identity.sop_instance_uid}")
    if _stored(header, "StudyInstanceUID") != identity.study_instance_uid:
        raise GiveUp(Reason.IDENTITY, f"header of another study than that of {identity.sop_instance_uid}")


def _stored(header: Dataset, keyword: str) -> str:
    """Return a value as received, without decoding: a film may have any bytes anywhere."""
    element = header.get_item(keyword, keep_deferred=True) if keyword in header else None
    value = b"" if element is None or element.value is None else element.value
    return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else str(value)


def _require_one(name: str, values: Set[object]) -> None:
    """Raise GiveUp if there are several; the message is logged, so it quotes no value."""
    if len(values) > 1:
        raise GiveUp(Reason.IDENTITY, f"{len(values)} values of {name} in one study")
