"""The views of version 1: what is in each, column by column, and questions to them.

The views themselves are made by migrations. Columns are added at the end, never changed or taken away; what
must be otherwise becomes a view of the next version. `docs/database.md` has the same words; a test compares the three.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    String,
    TableClause,
    column,
    select,
    table,
)
from sqlalchemy.types import TypeEngine

from cxr_node.db.tables import UtcDateTime


class Kind(StrEnum):
    """What a column holds. Times are UTC, in SQLite as text such as 2026-01-31 12:00:00.000000."""

    NUMBER = "number"
    WHOLE = "whole number"
    TEXT = "text"
    TIME = "time"
    YES_NO = "yes or no"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: what one of its rows is, the column that `since` and `until` ask for, and its columns' meanings.

    `newest` is the column by which the newest rows are found at once.
    """

    name: str
    row: str
    time: str
    newest: str
    columns: Mapping[str, tuple[Kind, str]]

    @property
    def selectable(self) -> TableClause:
        """The view for SQLAlchemy."""
        return table(self.name, *(column(name, _TYPES[kind]()) for name, (kind, _) in self.columns.items()))


_TYPES: Mapping[Kind, type[TypeEngine[Any]]] = {
    Kind.NUMBER: Float,
    Kind.WHOLE: Integer,
    Kind.TEXT: String,
    Kind.TIME: UtcDateTime,
    Kind.YES_NO: Boolean,
}

_WHOLE, _NUMBER, _TEXT, _TIME, _YES_NO = Kind.WHOLE, Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.YES_NO

_FILM_ID = (_WHOLE, "Number of the film.")
_STUDY_ID = (_WHOLE, "Number of the study.")
_STUDY_UID = (_TEXT, "Study Instance UID (0020,000D).")
_SOP_UID = (_TEXT, "SOP Instance UID (0008,0018) of the film.")
_CALLING = (_TEXT, "AE title of the sender: the device, as it calls itself.")
_RECEIVED = (_TIME, "When the film was received.")
_RECEIVED_DAY = (_TEXT, "The day of that in UTC, as 2026-01-31.")
_STATE = "waiting, running, done, not_analysed or failed"
_REASON = "coded, such as VIEW or DECODE; empty where there is none"
_DETAIL = (_TEXT, "A sentence of the node's own about that; it quotes no value of the film's header.")
_MODEL = {
    "model_name": (_TEXT, "The model's name."),
    "model_version": (_TEXT, "The model's version."),
    "weights_digest": (_TEXT, "SHA-256 of the model's weights."),
}
_OF_READING = {
    "reading_id": (_WHOLE, "Number of the reading."),
    "film_id": _FILM_ID,
    "study_id": _STUDY_ID,
    "study_instance_uid": _STUDY_UID,
    "sop_instance_uid": _SOP_UID,
    "calling_ae_title": _CALLING,
    "received_at": _RECEIVED,
    "received_day": _RECEIVED_DAY,
    "read_at": (_TIME, "When the film was read."),
    **_MODEL,
    "is_newest": (_YES_NO, "Whether this is of the film's newest reading; a film may be read again by another model."),
}
_CODED = {
    "code_value": (_TEXT, "Code Value (0008,0100)."),
    "code_scheme": (_TEXT, "Coding Scheme Designator (0008,0102)."),
    "code_meaning": (_TEXT, "Code Meaning (0008,0104), English."),
    "site": (_TEXT, "Where it is looked for, as a code meaning."),
    "laterality": (_TEXT, "The patient's side: right, left or bilateral."),
}

_FILMS = View(
    name="v1_films",
    row="a film that was received, with its newest reading",
    time="received_at",
    newest="film_id",
    columns={
        "film_id": _FILM_ID,
        "study_id": _STUDY_ID,
        "study_instance_uid": _STUDY_UID,
        "series_instance_uid": (_TEXT, "Series Instance UID (0020,000E)."),
        "sop_instance_uid": _SOP_UID,
        "sop_class_uid": (_TEXT, "SOP Class UID (0008,0016)."),
        "transfer_syntax_uid": (_TEXT, "Transfer syntax in which it came and is kept."),
        "calling_ae_title": _CALLING,
        "called_ae_title": (_TEXT, "AE title that it called."),
        "address": (_TEXT, "Network address that it came from."),
        "received_at": _RECEIVED,
        "received_day": _RECEIVED_DAY,
        "received_hour": (_WHOLE, "The hour of that in UTC, 0 to 23."),
        "size_bytes": (_WHOLE, "Size as a DICOM file."),
        "is_original": (_YES_NO, "No for other bytes under a SOP Instance UID that was known."),
        "removed_at": (_TIME, "When its bytes were removed from the archive, if they were."),
        "job_id": (_WHOLE, "Number of the job that reads it."),
        "state": (_TEXT, f"How it stands with that job: {_STATE}."),
        "reason": (_TEXT, f"Why it is not analysed or failed: {_REASON}."),
        "detail": _DETAIL,
        "reading_id": (_WHOLE, "Number of its newest reading, if it was read."),
        "read_at": (_TIME, "When that was made."),
        "view": (_TEXT, "PA, AP, LATERAL or UNKNOWN; empty where the film could not be opened."),
        "film_rows": (_WHOLE, "Rows (0028,0010)."),
        "film_columns": (_WHOLE, "Columns (0028,0011)."),
        **_MODEL,
    },
)

_JOBS = View(
    name="v1_jobs",
    row="a job: one stage of the way for one film, study, delivery or answer",
    time="created_at",
    newest="job_id",
    columns={
        "job_id": (_WHOLE, "Number of the job."),
        "stage": (_TEXT, "read, compose, deliver or answer."),
        "state": (_TEXT, f"How it stands: {_STATE}."),
        "reason": (_TEXT, f"Why it was set aside or failed: {_REASON}."),
        "detail": _DETAIL,
        "priority": (_WHOLE, "The higher, the sooner: its head start in seconds."),
        "attempts": (_WHOLE, "How often it was claimed since it was last queued."),
        "crashes": (_WHOLE, "How often the worker died meanwhile."),
        "created_at": (_TIME, "When it was first queued."),
        "queued_at": (_TIME, "When it was last queued."),
        "due_at": (_TIME, "From when on it may be claimed."),
        "ended_at": (_TIME, "When it ended, if it did."),
        "lease_owner": (_TEXT, "Which process works on it, if one does."),
        "lease_until": (_TIME, "Until when."),
        "film_id": (_WHOLE, "Number of the film that it reads; else empty."),
        "study_id": (_WHOLE, "Number of the study; empty for answers, which are of no study."),
        "delivery_id": (_WHOLE, "Number of the delivery; else empty."),
        "study_instance_uid": _STUDY_UID,
        "sop_instance_uid": (_TEXT, "SOP Instance UID of the film or result; of an answer its Transaction UID."),
        "calling_ae_title": (_TEXT, "AE title of the film's sender, or of who is answered."),
        "destination": (_TEXT, "Name of the destination that is delivered to."),
        "turn_at": (_TIME, "Those that wait are claimed in the order of this time: due_at less the head start."),
    },
)

_FINDINGS = View(
    name="v1_findings",
    row="a finding that a model looked for on a film, whether it saw it or not",
    time="received_at",
    newest="received_at",
    columns={
        "finding_id": (_WHOLE, "Number of the finding."),
        **_OF_READING,
        "key": (_TEXT, "The finding's name in the model's card, such as lung_opacity."),
        **_CODED,
        "score": (_NUMBER, "The model's score, 0 to 1. Not a probability unless calibrated says so."),
        "operating_point": (_NUMBER, "The score from which on it is called present."),
        "presence": (_TEXT, "present, absent or undetermined."),
        "calibrated": (_YES_NO, "Whether the card states that scores are probabilities."),
    },
)

_MEASUREMENTS = View(
    name="v1_measurements",
    row="a number measured on a film",
    time="received_at",
    newest="received_at",
    columns={
        "measurement_id": (_WHOLE, "Number of the measurement."),
        **_OF_READING,
        "key": (_TEXT, "The measurement's name, such as CTR, the cardiothoracic ratio."),
        "topic": (_TEXT, "structures, densities, borders, proportions or quality."),
        **_CODED,
        "value": (_NUMBER, "The number."),
        "unit": (_TEXT, "Its unit as a UCUM code, such as mm; 1 for a ratio."),
        "provenance": (_TEXT, "How it was measured."),
    },
)

_DELIVERIES = View(
    name="v1_deliveries",
    row="a result on its way to a destination",
    time="created_at",
    newest="delivery_id",
    columns={
        "delivery_id": (_WHOLE, "Number of the delivery."),
        "destination": (_TEXT, "Name of the destination."),
        "result_id": (_WHOLE, "Number of the result."),
        "study_id": _STUDY_ID,
        "study_instance_uid": _STUDY_UID,
        "kind": (_TEXT, "Kind of result, such as TID1500, the report."),
        "version": (_WHOLE, "Which of the study's results of that kind, from 1."),
        "sop_class_uid": (_TEXT, "SOP Class UID of the result."),
        "sop_instance_uid": (_TEXT, "SOP Instance UID of the result."),
        "size_bytes": (_WHOLE, "Its size as a DICOM file."),
        "composed_at": (_TIME, "When the result was composed."),
        "created_at": (_TIME, "When the delivery was queued."),
        "delivered_at": (_TIME, "When the destination took it, if it did."),
        "delivery_s": (_NUMBER, "Seconds between both."),
        "status": (_WHOLE, "DIMSE status with which it took it; 0 is Success."),
        "confirmed_at": (_TIME, "When it vouched for it, if it was asked and did."),
        "denied": (_WHOLE, "Failure Reason (0008,1197) with which it would not."),
        "job_id": (_WHOLE, "Number of the job that delivers."),
        "state": (_TEXT, f"How it stands with that job: {_STATE}."),
        "reason": (_TEXT, f"Why it failed: {_REASON}."),
        "detail": _DETAIL,
        "attempts": (_WHOLE, "How often it was tried since it was last queued."),
        "due_at": (_TIME, "When it is tried next, if it waits."),
    },
)

_TURNAROUND = View(
    name="v1_turnaround",
    row="a film and the times of its way through the node",
    time="received_at",
    newest="film_id",
    columns={
        "film_id": _FILM_ID,
        "study_id": _STUDY_ID,
        "study_instance_uid": _STUDY_UID,
        "sop_instance_uid": _SOP_UID,
        "calling_ae_title": _CALLING,
        "received_at": _RECEIVED,
        "received_day": _RECEIVED_DAY,
        "claimed_at": (_TIME, "When a reader first took it."),
        "read_at": (_TIME, "When its reading ended."),
        "composed_at": (_TIME, "When the first result of its study was composed after that."),
        "delivered_at": (_TIME, "When the first of those arrived at a destination."),
        "state": (_TEXT, f"How it stands with its reading: {_STATE}."),
        "reason": (_TEXT, f"Why it is not analysed or failed: {_REASON}."),
        "wait_s": (_NUMBER, "Seconds from received to claimed."),
        "read_s": (_NUMBER, "Seconds from claimed to read."),
        "compose_s": (_NUMBER, "Seconds from read to composed; the calm that a study is given is in it."),
        "deliver_s": (_NUMBER, "Seconds from composed to delivered."),
        "total_s": (_NUMBER, "Seconds from received to delivered."),
    },
)

_WATCHED = {
    "day": (_TEXT, "The UTC day, as 2026-01-31."),
    "calling_ae_title": _CALLING,
    **_MODEL,
    "kind": (_TEXT, "score, rejected (not analysed) or turnaround; of drift also positive (called present)."),
    "key": (_TEXT, "The finding's name, of scores and of positive; else empty."),
}

_DAYS = View(
    name="v1_days",
    row="a figure of one device's films of one day, read by one model",
    time="starts_at",
    newest="starts_at",
    columns={
        "day": _WATCHED["day"],
        "starts_at": (_TIME, "When that day begins."),
        **{name: said for name, said in _WATCHED.items() if name != "day"},
        "films": (_WHOLE, "How many films it is of."),
        "hits": (_WHOLE, "Films on which the finding is called present, or that were not analysed."),
        "mean": (_NUMBER, "Mean score, share not analysed, or mean seconds from film to report."),
    },
)

_DRIFT = View(
    name="v1_drift",
    row="a figure of one device on one day, held against the reference of the model that read it",
    time="judged_at",
    newest="judged_at",
    columns={
        "day": _WATCHED["day"],
        "judged_at": (_TIME, "When it was judged."),
        **{name: said for name, said in _WATCHED.items() if name != "day"},
        "reference_from": (_TEXT, "First day of the reference."),
        "reference_until": (_TEXT, "Last day of the reference."),
        "window_from": (_TEXT, "First day of those held against it; the last is day."),
        "reference_films": (_WHOLE, "Films in the reference."),
        "films": (_WHOLE, "Films held against it."),
        "reference_value": (_NUMBER, "Mean score, rate or median seconds in the reference."),
        "value": (_NUMBER, "The same now."),
        "effect": (_NUMBER, "Kolmogorov-Smirnov distance of scores or times; of rates their difference. 0 to 1."),
        "p_value": (_NUMBER, "Of the Kolmogorov-Smirnov test; of rates of Fisher's exact test."),
        "adjusted_p": (_NUMBER, "The same, adjusted by Holm for the tests of the day and model."),
        "is_drift": (_YES_NO, "Whether it is drift: adjusted_p below alpha, and effect large enough."),
    },
)

_CONSTANCY = View(
    name="v1_constancy",
    row="a value of a constancy check; one row without a value of a check that failed before there were any",
    time="started_at",
    newest="run_id",
    columns={
        "run_id": (_WHOLE, "Number of the check."),
        "started_at": (_TIME, "When it began."),
        "ended_at": (_TIME, "When it ended."),
        "state": (_TEXT, "running, passed, failed, or unaccepted: nothing was accepted yet to hold it against."),
        "detail": (_TEXT, "Why it failed."),
        **_MODEL,
        "engine": (_TEXT, "Which node on which host read it, and the device that its settings name."),
        "seed": (_WHOLE, "Number of the phantom."),
        "kind": (_TEXT, "score or measurement, held against what was accepted; truth, against what the phantom has."),
        "key": (_TEXT, "The name of the finding or measurement."),
        "value": (_NUMBER, "What was read."),
        "expected": (_NUMBER, "What is expected."),
        "tolerance": (_NUMBER, "How far it may be off."),
        "is_held": (_YES_NO, "Whether it is as expected; empty where nothing is."),
    },
)

_SHADOW = View(
    name="v1_shadow",
    row="a finding that a second model looked for in the shadow, beside what the film's newest reading says of it",
    time="received_at",
    newest="shadow_id",
    columns={
        "shadow_id": (_WHOLE, "Number of the reading in the shadow."),
        "film_id": _FILM_ID,
        "study_id": _STUDY_ID,
        "study_instance_uid": _STUDY_UID,
        "sop_instance_uid": _SOP_UID,
        "calling_ae_title": _CALLING,
        "received_at": _RECEIVED,
        "read_at": (_TIME, "When it was read in the shadow."),
        **_MODEL,
        "not_analysed": (_TEXT, "Why it was not analysed in the shadow, coded; then there is no finding."),
        "key": (_TEXT, "The finding's name in the second model's card."),
        "score": (_NUMBER, "The second model's score."),
        "operating_point": (_NUMBER, "The score from which on it calls it present."),
        "presence": (_TEXT, "present, absent or undetermined, as the second model says."),
        "first_model_name": (_TEXT, "Name of the model that read the film for its report."),
        "first_model_version": (_TEXT, "Its version."),
        "first_not_analysed": (_TEXT, "Why that did not analyse it, coded."),
        "first_score": (_NUMBER, "That model's score; empty where it does not look for the finding."),
        "first_operating_point": (_NUMBER, "The score from which on that calls it present."),
        "first_presence": (_TEXT, "present, absent or undetermined, as that says."),
        "differs": (_YES_NO, "Whether one calls present what the other does not."),
    },
)

VIEWS: Mapping[str, View] = {
    each.name: each
    for each in (_FILMS, _JOBS, _FINDINGS, _MEASUREMENTS, _DELIVERIES, _TURNAROUND, _DAYS, _DRIFT, _CONSTANCY, _SHADOW)
}


class Comparison(StrEnum):
    """How a column is held against a value. `LIKE` takes % for anything."""

    EQUAL = "="
    UNEQUAL = "!="
    LEAST = ">="
    MOST = "<="
    MORE = ">"
    LESS = "<"
    LIKE = "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a row must meet; a value of None, with = or !=, asks whether there is one."""

    column: str
    comparison: Comparison
    value: object


def rows(
    connection: Connection,
    view: View,
    *,
    columns: Sequence[str] = (),
    conditions: Iterable[Condition] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    order: str = "",
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return a view's rows, the newest first unless `order` names a column, with a minus before it to turn it round.

    Where a time is asked for, the newest are the latest.

    Raises
    ------
    KeyError
        If the view has no column of a name.
    """
    of = view.selectable
    query: Select[Any] = select(*(of.c[name] for name in columns or view.columns))
    query = query.where(*(_met(of.c[each.column], each) for each in conditions))
    if since is not None:
        query = query.where(of.c[view.time] >= since)
    if until is not None:
        query = query.where(of.c[view.time] < until)
    by = order or f"-{view.time if since or until else view.newest}"
    direction = of.c[by.removeprefix("-")]
    query = query.order_by(direction.desc() if by.startswith("-") else direction.asc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _met(of: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = condition.value
    match condition.comparison:
        case Comparison.EQUAL:
            return of.is_not_distinct_from(value) if value is None else of == value
        case Comparison.UNEQUAL:
            return of.is_distinct_from(value)
        case Comparison.LEAST:
            return of >= value
        case Comparison.MOST:
            return of <= value
        case Comparison.MORE:
            return of > value
        case Comparison.LESS:
            return of < value
        case Comparison.LIKE:
            return of.like(value)
