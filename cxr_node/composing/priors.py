"""Prior films: the choice of the one that a film is compared with, and the comparison itself.

A prior is a film that the node has read before, of the same patient and view, from another study.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm, report_film
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.film_geometry import ViewSource
from cxr_node.domain.reading import Reading
from cxr_node.measure.comparison import compare
from cxr_node.measure.repeatability import measured_limits
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study import acquired_on


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedFilm:
    """A reading with date (8 digits) and time of acquisition; the time is "" where it is not stated."""

    reading: Reading
    date: str
    time: str = ""


_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """A film, films that may be its prior, and the greatest age of a prior in days."""

    film: ReadFilm
    candidates: Sequence[ReadFilm]
    maximum_age_days: int


def choose(candidates: Sequence[DatedFilm], current: DatedFilm, *, maximum_age_days: int) -> DatedFilm | None:
    """Return the newest prior film; None if there is none.

    It was read, is of the same patient (issuer, ID, name and birth date) and view, of another study, and acquired
    before the current film. A view that only a network names is none: a wrong one would compare PA with AP.
    """
    priors = [one for one in candidates if _is_prior(one, current, maximum_age_days)]
    return max(priors, key=lambda one: (one.date, one.time, one.reading.film.sop_instance_uid), default=None)


def _is_prior(candidate: DatedFilm, current: DatedFilm, maximum_age_days: int) -> bool:
    ours, other = current.reading, candidate.reading
    if ours.prediction is None or other.prediction is None or ours.geometry is None or other.geometry is None:
        return False
    geometries = (ours.geometry, other.geometry)
    if any(one.view_source is ViewSource.NETWORK or not one.view.is_frontal for one in geometries):
        return False
    return (
        other.film.patient_key == ours.film.patient_key
        and other.film.study_instance_uid != ours.film.study_instance_uid
        and other.film.sop_instance_uid != ours.film.sop_instance_uid
        and other.geometry.view is ours.geometry.view
        and _is_before(candidate, current, maximum_age_days)
    )


def _is_before(candidate: DatedFilm, current: DatedFilm, maximum_age_days: int) -> bool:
    """Whether a film was acquired before another: on one day only if both state their time."""
    age_days = (_day(current) - _day(candidate)).days
    if age_days == 0:
        return bool(candidate.time and current.time) and candidate.time < current.time
    return 0 < age_days <= maximum_age_days


def _day(film: DatedFilm) -> date:
    return date.fromisoformat(film.date)


def compare_with_prior(context: ComposeContext, request: CompareRequest) -> Comparison | None:
    """Return the comparison of a film with its prior; None if there is no prior, or no value of both films.

    Headers are read from the archived bytes. A film without Patient ID, name or birth date is compared with none: an
    identifier that stands for any patient, such as that of an emergency, has no birth date beside it.
    """
    current = report_film(context, request.film)
    dated = _dated(current)
    if dated is None or not all(_stated(current.header.get(keyword)) for keyword in _IDENTITY):
        return None
    candidates = [_dated(report_film(context, one)) for one in request.candidates]
    prior = choose([one for one in candidates if one is not None], dated, maximum_age_days=request.maximum_age_days)
    if prior is None:
        return None
    values = compare(dated.reading, prior.reading, measured_limits())
    if not values:
        return None
    return Comparison(prior=prior.reading.film, prior_date=_day(prior).isoformat(), values=values)


def _stated(value: object) -> str:
    """Return the text of an element without the separators of a name's components; empty if it states nothing."""
    return str(value or "").strip(" ^=")


def _dated(film: ReportedFilm) -> DatedFilm | None:
    acquired = None if film.is_named_by_row else acquired_on(film)
    return None if acquired is None else DatedFilm(reading=film.reading, date=acquired[0], time=acquired[1])
