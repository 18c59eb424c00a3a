"""Films and results that the node holds, as DICOMweb shows them: found by study, series, instance and identifiers.

Shown are films that count and are neither hidden nor removed, and results that are neither superseded, withdrawn nor
removed. Studies are ordered by their arrival, the newest first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, exists, func, or_, select

from cxr_node.db.correction_tables import rejected_film
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.tables import film, result, study
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.queries import wildcards
from cxr_node.records.results import IS_WITHDRAWN


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """A film or result: where it belongs, and where its bytes are."""

    study_id: int
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid
    sop_class_uid: Uid
    transfer_syntax_uid: Uid
    archive_key: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Conditions that an instance meets, and its study: those of its identifiers by column, with `*` and `?`.

    `dates` are the first and the last Study Date, as 2026-01-31, either of them empty for none. `modalities` are of the
    study's instances; of results the node knows them by the SOP Class, `result_modalities`.
    """

    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()
    sop_class_uids: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    result_modalities: Mapping[str, str] = field(default_factory=dict)
    identifiers: Mapping[str, str] = field(default_factory=dict)
    dates: tuple[str, str] = ("", "")


def studies(connection: Connection, matching: Matching, *, limit: int, offset: int) -> list[int]:
    """Return the numbers of studies, the newest first."""
    query = select(study.c.id).where(*_study_conditions(matching), _holds_any(matching))
    return list(connection.execute(query.order_by(study.c.id.desc()).limit(limit).offset(offset)).scalars())


def series(connection: Connection, matching: Matching, *, limit: int, offset: int) -> list[tuple[int, Uid]]:
    """Return study number and UID of series, in the order of studies; those of films before those of results."""
    rows: list[tuple[int, int, int, Uid]] = []
    for arm, (table, query) in enumerate(_arms(matching)):
        uid, first = table.c.series_instance_uid, func.min(table.c.id)
        grouped = query.with_only_columns(table.c.study_id, first, uid, maintain_column_froms=True)
        grouped = grouped.group_by(table.c.study_id, uid)
        ordered = grouped.order_by(table.c.study_id.desc(), first).limit(offset + limit)
        rows += [(-study_id, arm, number, Uid(text)) for study_id, number, text in connection.execute(ordered)]
    return [(-study_id, uid) for study_id, _, _, uid in sorted(rows)[offset : offset + limit]]


def instances(connection: Connection, matching: Matching, *, limit: int, offset: int = 0) -> list[HeldInstance]:
    """Return instances, in the order of studies; films before results."""
    rows: list[tuple[int, int, int, HeldInstance]] = []
    for arm, (table, query) in enumerate(_arms(matching)):
        ordered = query.order_by(table.c.study_id.desc(), table.c.id).limit(offset + limit)
        rows += [(-row.study_id, arm, row.id, _held(row)) for row in connection.execute(ordered)]
    return [row[3] for row in sorted(rows, key=lambda row: row[:3])[offset : offset + limit]]


def of_studies(connection: Connection, study_ids: Collection[int]) -> list[HeldInstance]:
    """Return all instances of studies, films before results."""
    return [
        _held(row)
        for table, query in _arms(Matching())
        for row in connection.execute(query.where(table.c.study_id.in_(study_ids)).order_by(table.c.id))
    ]


def _arms(matching: Matching) -> Sequence[tuple[Table, Select[tuple[object, ...]]]]:
    """Return table and query of films and of results that match."""
    of_study = _study_conditions(matching)
    return [
        (table, _columns(table).where(*is_shown, *_conditions(table, matching), *of_study))
        for table, is_shown in ((film, _is_shown_film()), (result, _is_shown_result()))
    ]


def _columns(table: Table) -> Select[tuple[object, ...]]:
    names = ("id", "study_id", "series_instance_uid", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid")
    columns = [table.c[name] for name in (*names, "archive_key", "digest")]
    joined = table.join(study, study.c.id == table.c.study_id)
    return select(study.c.study_instance_uid, *columns).select_from(joined)


def _held(row: Row[tuple[object, ...]]) -> HeldInstance:
    values = row._asdict()
    del values["id"]
    return HeldInstance(**values)


def _is_shown_film() -> tuple[ColumnElement[bool], ...]:
    is_rejected = exists().where(rejected_film.c.film_id == film.c.id)
    return film.c.is_original.is_(True), film.c.removed_at.is_(None), ~is_rejected, is_not_constancy_film()


def _is_shown_result() -> tuple[ColumnElement[bool], ...]:
    return result.c.superseded_at.is_(None), result.c.removed_at.is_(None), ~IS_WITHDRAWN


def _conditions(table: Table, matching: Matching) -> list[ColumnElement[bool]]:
    """Return the conditions on an instance itself."""
    columns = {
        "series_instance_uid": matching.series_instance_uids,
        "sop_instance_uid": matching.sop_instance_uids,
        "sop_class_uid": matching.sop_class_uids,
    }
    return [table.c[name].in_(values) for name, values in columns.items() if values]


def _study_conditions(matching: Matching) -> list[ColumnElement[bool]]:
    """Return the conditions on the study of an instance."""
    conditions: list[ColumnElement[bool]] = []
    if matching.study_instance_uids:
        conditions.append(study.c.study_instance_uid.in_(matching.study_instance_uids))
    if identified := _identifier_conditions(matching):
        films = select(film.c.study_id).join(film_identifiers, film_identifiers.c.film_id == film.c.id)
        conditions.append(study.c.id.in_(films.where(*_is_shown_film(), *identified)))
    if matching.modalities:
        films = select(film.c.study_id).where(*_is_shown_film(), film.c.modality.in_(matching.modalities))
        classes = [uid for uid, name in matching.result_modalities.items() if name in matching.modalities]
        results = select(result.c.study_id).where(*_is_shown_result(), result.c.sop_class_uid.in_(classes))
        conditions.append(or_(study.c.id.in_(films), study.c.id.in_(results)))
    return conditions


def _identifier_conditions(matching: Matching) -> list[ColumnElement[bool]]:
    conditions = [_matches(film_identifiers.c[name], text) for name, text in matching.identifiers.items()]
    first, last = matching.dates
    if first:
        conditions.append(film_identifiers.c.study_date >= first)
    if last:
        conditions.append(film_identifiers.c.study_date <= last)
    return conditions


def _holds_any(matching: Matching) -> ColumnElement[bool]:
    """Return the condition that a study has an instance that is shown."""
    return or_(
        exists().where(film.c.study_id == study.c.id, *_is_shown_film(), *_conditions(film, matching)),
        exists().where(result.c.study_id == study.c.id, *_is_shown_result(), *_conditions(result, matching)),
    )


def _matches(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition of wildcard matching; of a name without regard to case."""
    match = wildcards.matches_in_any_case if column.name == "patient_name" else wildcards.matches
    return match(column, text)
