"""Films that are not analysed and their reasons, by group."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.db.states import State
from cxr_node.queries.grouping import grouped
from cxr_node.queries.turnaround import FilmOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmCounts:
    """Films of a group: all, not analysed, failed; and films by reason, the most frequent first."""

    group: str
    films: int
    not_analysed: int
    failed: int
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """The share of films that are not analysed, 0 to 1."""
        return self.not_analysed / self.films


def by_group(films: Iterable[FilmOutcome]) -> list[FilmCounts]:
    """Return the counts of each group, most films not analysed first."""
    counts = [
        FilmCounts(
            group=group,
            films=len(members),
            not_analysed=sum(film.state == State.NOT_ANALYSED for film in members),
            failed=sum(film.state == State.FAILED for film in members),
            reasons=dict(Counter(film.reason for film in members if film.reason).most_common()),
        )
        for group, members in grouped(films, lambda film: film.group).items()
    ]
    return sorted(counts, key=lambda count: (-count.not_analysed, -count.films, count.group))
