"""What a search for a prior film needs of headers: what to ask for, and whether a fetched film is one.

Both run where films are parsed, within the limits of that process.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm, reported_film
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import ViewSource
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.prior_search import PriorQuery
from cxr_node.pixels import elements
from cxr_node.pixels.parsing import parse_header
from cxr_node.pixels.view import find_view
from cxr_node.report.study import acquired_by

_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate")
_WILDCARDS = "*?\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRequest:
    """A film to search for, and the greatest age of its prior in days."""

    film: ReadFilm
    maximum_age_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFilm:
    """A fetched film, what was asked for, and the SOP Instance UID that the source had offered."""

    instance: Instance
    query: PriorQuery
    sop_instance_uid: Uid


def query_of(context: ComposeContext, request: QueryRequest) -> PriorQuery | None:
    """Return what to ask for; None if the header does not state patient and date, or not so that they can be asked for.

    A Patient ID with a wildcard, or beyond ASCII, is not: it would match that of others, or depend on a character set.
    """
    film = request.film
    try:
        content = read_intact(context.archive, film.film)
    except Damaged:
        return None
    reported = reported_film(content, film.reading)
    geometry = film.reading.geometry
    acquired = None if reported.is_named_by_row else acquired_by(reported.header)
    if acquired is None or geometry is None or geometry.view_source is ViewSource.NETWORK:
        return None
    header = reported.header
    patient_id, issuer = elements.text(header, "PatientID"), elements.text(header, "IssuerOfPatientID")
    if not all(elements.text(header, keyword).strip(" ^=") for keyword in _IDENTITY):
        return None
    if any(not value.isascii() or any(sign in value for sign in _WILDCARDS) for value in (patient_id, issuer)):
        return None
    day, time = acquired
    earliest = date.fromisoformat(day) - timedelta(days=request.maximum_age_days)
    return PriorQuery(
        patient_id=patient_id,
        issuer=issuer,
        patient_key=film.reading.film.patient_key,
        study_instance_uid=film.reading.film.study_instance_uid,
        view=geometry.view,
        date=day,
        time=time,
        earliest=earliest.strftime("%Y%m%d"),
    )


def why_unsuitable(_context: ComposeContext, fetched: FetchedFilm) -> str:
    """Return why a fetched film is not the prior film by its own header; empty if it is, as far as that says."""
    instance, query = fetched.instance, fetched.query
    identity = instance.identity
    if identity.sop_instance_uid != fetched.sop_instance_uid:
        return "it is another instance"
    if identity.patient_key != query.patient_key:
        return "its patient is stated otherwise"
    if identity.study_instance_uid == query.study_instance_uid:
        return "it is of the same study"
    try:
        header = parse_header(instance.content)
    except GiveUp:
        return "it cannot be parsed"
    view, source = find_view(header)
    if view is not query.view or source is ViewSource.NETWORK:
        return "it is of another view"
    acquired = acquired_by(header)
    if acquired is None or not query.is_earlier(*acquired):
        return "it was not acquired before the film"
    return ""
