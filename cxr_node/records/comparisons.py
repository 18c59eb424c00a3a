"""Prior films of the archive, and comparisons with them as they were composed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, delete, exists, insert, select

from cxr_node.db.comparison_tables import compared_value
from cxr_node.db.correction_tables import rejected_film, withdrawal
from cxr_node.db.database import Transaction
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.prior_tables import fetched_compared_value
from cxr_node.db.tables import film, reading, result, study
from cxr_node.domain.comparison import ComparedValue, Comparison
from cxr_node.domain.film import Film
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Reading
from cxr_node.records import films, identities, readings

_CANDIDATES = 3
"""Films of earlier days whose headers are read to choose a prior: the newest by their study dates."""
_MOST = 20
_LOOKED_AT = 100
_REPORTS = ("TID1500", "TID1500/COMPREHENSIVE", "TID1500/ENHANCED")


def candidates(connection: Connection, current: Film, reading_of_current: Reading) -> list[tuple[Film, Reading]]:
    """Return films of the same patient that may be the prior of a film: of the newest days, and twenty at most.

    They are of other studies and of the same view, neither rejected nor replaced, and their bytes are in the archive.
    Study dates are those of the kept identifiers; without them the time of reception stands for the date.
    """
    if reading_of_current.prediction is None or reading_of_current.geometry is None:
        return []
    rows = connection.execute(
        select(film.c.id, film.c.received_at, film_identifiers.c.study_date)
        .outerjoin(film_identifiers, film_identifiers.c.film_id == film.c.id)
        .where(
            film.c.patient_key == current.identity.patient_key,
            film.c.study_id != current.study_id,
            film.c.is_original.is_(True),
            film.c.removed_at.is_(None),
            ~exists().where(rejected_film.c.film_id == film.c.id),
            exists().where(reading.c.film_id == film.c.id, reading.c.not_analysed.is_(None)),
            is_not_constancy_film(),
        )
        .order_by(film.c.id.desc())
        .limit(_LOOKED_AT)
    ).all()
    today = _study_date(connection, current.film_id)
    dated = [(date or received_at.date().isoformat(), film_id, bool(date)) for film_id, received_at, date in rows]
    priors: list[tuple[Film, Reading]] = []
    earlier: list[str] = []
    for date, film_id, is_stated in sorted(dated, reverse=True):
        if is_stated and today and date > today:
            continue
        # Films of one day are told apart by their headers alone.
        if len(priors) == _MOST or (len(earlier) >= _CANDIDATES and date != earlier[-1]):
            break
        candidate = films.get(connection, film_id)
        value = readings.latest(connection, film_id, candidate.identity)
        if value is None or value.prediction is None or value.geometry is None:
            continue
        if value.geometry.view is reading_of_current.geometry.view:
            priors.append((candidate, value))
            if date != today:
                earlier.append(date)
    return priors


def _study_date(connection: Connection, film_id: int) -> str:
    query = select(film_identifiers.c.study_date).where(film_identifiers.c.film_id == film_id)
    return connection.execute(query).scalar_one_or_none() or ""


def report_on(connection: Connection, study_id: int) -> Identity | None:
    """Return the newest report of a study that is neither withdrawn nor superseded; None if there is none."""
    query = (
        select(
            result.c.sop_class_uid,
            result.c.sop_instance_uid,
            result.c.series_instance_uid,
            result.c.patient_key,
            study.c.study_instance_uid,
        )
        .join(study, study.c.id == result.c.study_id)
        .where(
            result.c.study_id == study_id,
            result.c.kind.in_(_REPORTS),
            result.c.superseded_at.is_(None),
            ~exists().where(withdrawal.c.result_id == result.c.id),
        )
        .order_by(result.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else identities.of_row(row)


def write(
    transaction: Transaction,
    film_ids: Sequence[int],
    comparisons: Mapping[int, tuple[int, Comparison]],
    fetched: Mapping[int, tuple[int, Comparison]] = MappingProxyType({}),
) -> None:
    """Write the comparisons of a study's films, in place of those before.

    `comparisons` has the id of the prior film and the comparison, by the id of the film; `fetched` those with fetched
    films, by the ids of those.
    """
    tables = (compared_value, "prior_film_id", comparisons), (fetched_compared_value, "fetched_film_id", fetched)
    for table, column, compared in tables:
        transaction.connection.execute(_DELETE[table.name], {"film_ids": film_ids})
        rows = [
            {"film_id": film_id, column: prior_id, **_columns(value)}
            for film_id, (prior_id, comparison) in compared.items()
            for value in comparison.values
        ]
        if rows:
            transaction.connection.execute(insert(table), rows)


_DELETE = {
    table.name: delete(table).where(table.c.film_id.in_(bindparam("film_ids", expanding=True)))
    for table in (compared_value, fetched_compared_value)
}
"""Built once: they run for every study."""


def _columns(value: ComparedValue) -> dict[str, object]:
    return {
        "key": value.key,
        "code_value": value.code.value,
        "code_scheme": value.code.scheme_designator,
        "code_meaning": value.code.meaning,
        "site": None if value.site is None else asdict(value.site),
        "laterality": value.laterality,
        "unit": value.unit.value,
        "value": value.value,
        "prior_value": value.prior_value,
        "repeatability_limit": value.limit,
        "change": value.change,
    }
