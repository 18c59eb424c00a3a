"""Scores of findings by group: how many films have the finding, and quantiles of their scores."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from cxr_node.domain.reading import Presence
from cxr_node.queries.grouping import UNKNOWN, GroupBy
from cxr_node.queries.quantiles import quantile
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
