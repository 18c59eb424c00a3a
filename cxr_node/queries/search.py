"""Search for studies, films and jobs by one text: a UID, an accession number, a Patient ID, or a number of the node.

Values match exactly, in the form in which they are stored. Everything that a text may mean is looked up: a number can
be that of a study, a film and a job, and an accession number as well.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, select, union

from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.tables import film, job, result, study
from cxr_node.domain.film_attributes import cleaned

LONGEST_TEXT = 128
"""Characters of a searched text; no stored value is longer."""
_MOST_HITS = 50
_NEWEST_FILMS = 200
"""Films with one value that are looked at, the newest: a Patient ID such as "UNKNOWN" may be that of very many."""


class Kind(StrEnum):
    """What was found."""

    STUDY = "study"
    FILM = "film"
    JOB = "job"


class Match(StrEnum):
    """By what it was found. A SOP or Series Instance UID of a result finds its study."""

    STUDY_INSTANCE_UID = "Study Instance UID"
    SERIES_INSTANCE_UID = "Series Instance UID"
    SOP_INSTANCE_UID = "SOP Instance UID"
    ACCESSION_NUMBER = "Accession Number"
    PATIENT_ID = "Patient ID"
    STUDY_NUMBER = "study number"
    FILM_NUMBER = "film number"
    JOB_NUMBER = "job number"


UIDS = frozenset({Match.STUDY_INSTANCE_UID, Match.SERIES_INSTANCE_UID, Match.SOP_INSTANCE_UID})
IDENTIFIERS = frozenset({Match.ACCESSION_NUMBER, Match.PATIENT_ID})
NUMBERS = frozenset({Match.STUDY_NUMBER, Match.FILM_NUMBER, Match.JOB_NUMBER})
ALL = UIDS | IDENTIFIERS | NUMBERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A study, film or job, and by what it was found; `at` is when it was received or created.

    `stage`, `state` and `reason` are those of a job, or of the read job of a film.
    """

    kind: Kind
    number: int
    matches: tuple[Match, ...]
    at: datetime
    study_id: int | None
    study_instance_uid: str | None
    stage: str | None = None
    state: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a text finds, the newest first; and the identifiers that were looked up, by column, for the audit trail."""

    hits: tuple[Hit, ...]
    identifiers: Mapping[str, str] = field(default_factory=dict)


def search(connection: Connection, text: str, *, by: Collection[Match] = ALL) -> SearchResult:
    """Return what a text finds by any of `by`; identifiers are looked up only if it is no UID of this node.

    "study 5", "film 5" and "job 5" name one kind of number.
    """
    text = cleaned(text, characters=LONGEST_TEXT)
    named = _NAMED_NUMBER.fullmatch(text)
    if named is not None:
        number = _NUMBER_OF[Kind(named["kind"].lower())]
        return _merged(_by_number(connection, int(named["number"]), {number} & set(by)))
    hits = list(_by_uid(connection, text, by)) if _UID.fullmatch(text) else []
    identifiers = {}
    if text and not hits:
        for match in sorted(IDENTIFIERS & set(by)):
            column = _COLUMNS[match]
            identifiers[column.name] = cleaned(text)
            newest = select(film_identifiers.c.film_id).where(column == cleaned(text))
            newest_films = newest.order_by(film_identifiers.c.film_id.desc()).limit(_NEWEST_FILMS).subquery()
            of_films = select(film.c.study_id).join(newest_films, newest_films.c.film_id == film.c.id)
            hits += _studies(connection, of_films, match)
    if _NUMBER.fullmatch(text):
        hits += _by_number(connection, int(text), by)
    return _merged(hits, identifiers)


_NUMBER = re.compile(r"[0-9]{1,18}")
_NAMED_NUMBER = re.compile(r"(?P<kind>study|film|job) (?P<number>[0-9]{1,18})", re.IGNORECASE)
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_NUMBER_OF = {Kind.STUDY: Match.STUDY_NUMBER, Kind.FILM: Match.FILM_NUMBER, Kind.JOB: Match.JOB_NUMBER}
_COLUMNS = {
    Match.ACCESSION_NUMBER: film_identifiers.c.accession_number,
    Match.PATIENT_ID: film_identifiers.c.patient_id,
}


def _merged(hits: Iterable[Hit], identifiers: Mapping[str, str] | None = None) -> SearchResult:
    """Return hits, the newest first; what was found in two ways is one hit with both."""
    merged: dict[tuple[Kind, int], Hit] = {}
    for hit in hits:
        earlier = merged.get((hit.kind, hit.number), hit)
        merged[hit.kind, hit.number] = replace(hit, matches=tuple(dict.fromkeys((*earlier.matches, *hit.matches))))
    newest = sorted(merged.values(), key=lambda hit: (hit.at, hit.kind, hit.number), reverse=True)
    return SearchResult(hits=tuple(newest[:_MOST_HITS]), identifiers=identifiers or {})


def _by_uid(connection: Connection, uid: str, by: Collection[Match]) -> Iterator[Hit]:
    if Match.STUDY_INSTANCE_UID in by:
        of_study = select(study.c.id).where(study.c.study_instance_uid == uid)
        yield from _studies(connection, of_study, Match.STUDY_INSTANCE_UID)
    if Match.SOP_INSTANCE_UID in by:
        yield from _films(connection, film.c.sop_instance_uid == uid, Match.SOP_INSTANCE_UID)
        of_result = select(result.c.study_id).where(result.c.sop_instance_uid == uid)
        yield from _studies(connection, of_result, Match.SOP_INSTANCE_UID)
    if Match.SERIES_INSTANCE_UID in by:
        of_series = union(
            select(film.c.study_id).where(film.c.series_instance_uid == uid),
            select(result.c.study_id).where(result.c.series_instance_uid == uid),
        )
        yield from _studies(connection, of_series, Match.SERIES_INSTANCE_UID)


def _by_number(connection: Connection, number: int, by: Collection[Match]) -> Iterator[Hit]:
    if Match.STUDY_NUMBER in by:
        yield from _studies(connection, select(study.c.id).where(study.c.id == number), Match.STUDY_NUMBER)
    if Match.FILM_NUMBER in by:
        yield from _films(connection, film.c.id == number, Match.FILM_NUMBER)
    if Match.JOB_NUMBER in by:
        for row in connection.execute(_JOBS.where(job.c.id == number)).mappings():
            yield Hit(kind=Kind.JOB, matches=(Match.JOB_NUMBER,), **row)


def _studies(
    connection: Connection, numbers: Select[tuple[int]] | CompoundSelect[tuple[int]], match: Match
) -> Iterator[Hit]:
    """Yield the studies whose numbers a query selects, at most the newest `_MOST_HITS`."""
    # In two steps: for the newest of few studies a planner may walk all of them from the end.
    newest = sorted(set(connection.execute(numbers).scalars()), reverse=True)[:_MOST_HITS]
    for row in connection.execute(_STUDIES.where(study.c.id.in_(newest))).mappings():
        yield Hit(kind=Kind.STUDY, matches=(match,), **row)


def _films(connection: Connection, condition: ColumnElement[bool], match: Match) -> Iterator[Hit]:
    for row in connection.execute(_FILMS.where(condition)).mappings():
        yield Hit(kind=Kind.FILM, matches=(match,), **row)


_STUDIES = select(
    study.c.id.label("number"),
    study.c.id.label("study_id"),
    study.c.study_instance_uid,
    study.c.first_received_at.label("at"),
)
_JOB_COLUMNS = job.c.stage, job.c.state, job.c.reason
_FILMS = (
    select(
        film.c.id.label("number"), film.c.study_id, study.c.study_instance_uid, film.c.received_at.label("at"),
        *_JOB_COLUMNS,
    )
    .join(study, study.c.id == film.c.study_id)
    .outerjoin(job, job.c.film_id == film.c.id)
    .where(is_not_constancy_film())
)  # fmt: skip
_JOBS = select(
    job.c.id.label("number"),
    job.c.of_study_id.label("study_id"),
    study.c.study_instance_uid,
    job.c.created_at.label("at"),
    *_JOB_COLUMNS,
).outerjoin(study, study.c.id == job.c.of_study_id)
