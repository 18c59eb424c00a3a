"""Scores of findings by group: how many films have the finding, and quantiles of their scores."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnClause, Connection, func, literal_column, select
from sqlalchemy.types import NullType

from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.tables import film, finding, reading
from cxr_node.domain.reading import Presence
from cxr_node.queries.grouping import UNKNOWN, GroupBy
from cxr_node.queries.quantiles import SHARES, quantile
from cxr_node.queries.views.registry import VIEWS


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingScores:
    """A finding on the films of a group: on how many it is present, and quantiles of its scores, 0 to 1."""

    group: str
    key: str
    code_meaning: str
    films: int
    present: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


def finding_scores(
    connection: Connection, by: GroupBy, *, since: datetime | None, until: datetime | None = None
) -> list[FindingScores]:
    """Return the scores of each finding and group, by the newest reading of each film received in this time."""
    if connection.dialect.name == "postgresql":
        return _aggregated(connection, by, since=since, until=until)
    view = VIEWS["v1_findings"].selectable
    query = select(view.c[by.column], view.c.key, view.c.code_meaning, view.c.score, view.c.presence)
    query = query.where(view.c.is_newest)
    if since is not None:
        query = query.where(view.c.received_at >= since)
    if until is not None:
        query = query.where(view.c.received_at < until)
    groups: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    for group, key, meaning, score, presence in connection.execute(query).all():
        groups.setdefault((key, group or UNKNOWN, meaning), []).append((score, presence))
    return [_scores(*names, members) for names, members in sorted(groups.items())]


def _aggregated(
    connection: Connection, by: GroupBy, *, since: datetime | None, until: datetime | None
) -> list[FindingScores]:
    """Return the scores as PostgreSQL aggregates them, so that no row of a film leaves it; SQLite has no quantiles.

    The newest reading of each film is found in one pass, not by a query for each, as in the view.
    """
    day = func.to_char(func.timezone("UTC", film.c.received_at), "YYYY-MM-DD")
    group = day if by is GroupBy.DAY else film.c[by.column]
    newest = (
        select(group.label("name"), func.max(reading.c.id).label("reading_id"))
        .join_from(film, reading, reading.c.film_id == film.c.id)
        .where(is_not_constancy_film())
        .group_by(film.c.id)
    )
    if since is not None:
        newest = newest.where(film.c.received_at >= since)
    if until is not None:
        newest = newest.where(film.c.received_at < until)
    films = newest.subquery()
    name = func.coalesce(func.nullif(films.c.name, ""), UNKNOWN)
    shares: ColumnClause[Any] = literal_column(f"ARRAY[{', '.join(map(str, SHARES.values()))}]")
    columns = (finding.c.key, name.label("group"), finding.c.code_meaning)
    query = select(
        *columns,
        func.count().label("films"),
        func.count().filter(finding.c.presence == Presence.PRESENT).label("present"),
        func.percentile_disc(shares, type_=NullType()).within_group(finding.c.score).label("quantiles"),
    ).join_from(films, finding, finding.c.reading_id == films.c.reading_id)
    rows = connection.execute(query.group_by(*columns)).mappings()
    scores = [
        FindingScores(
            **{column: row[column] for column in ("group", "key", "code_meaning", "films", "present")},
            **dict(zip(SHARES, row["quantiles"], strict=True)),
        )
        for row in rows
    ]
    return sorted(scores, key=lambda score: (score.key, score.group, score.code_meaning))


def _scores(key: str, group: str, code_meaning: str, members: list[tuple[float, str]]) -> FindingScores:
    scores = sorted(score for score, _ in members)
    return FindingScores(
        group=group,
        key=key,
        code_meaning=code_meaning,
        films=len(members),
        present=sum(presence == Presence.PRESENT for _, presence in members),
        p50=quantile(scores, 0.50),
        p90=quantile(scores, 0.90),
        p95=quantile(scores, 0.95),
        p99=quantile(scores, 0.99),
    )
