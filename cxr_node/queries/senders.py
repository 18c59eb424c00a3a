"""Senders: films, films that are not analysed and their reasons, for each calling AE title."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.db.states import State
from cxr_node.queries.turnaround import FilmOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderCounts:
    """Films of one sender: all, not analysed, failed; and films by reason, the most frequent first."""

    calling_ae_title: str
    films: int
    not_analysed: int
    failed: int
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """The share of films that are not analysed, 0 to 1."""
        return self.not_analysed / self.films


def by_sender(films: Iterable[FilmOutcome]) -> list[SenderCounts]:
    """Return the counts of each sender, most films not analysed first."""
    groups: dict[str, list[FilmOutcome]] = {}
    for film in films:
        groups.setdefault(film.calling_ae_title, []).append(film)
    counts = [
        SenderCounts(
            calling_ae_title=title,
            films=len(members),
            not_analysed=sum(film.state == State.NOT_ANALYSED for film in members),
            failed=sum(film.state == State.FAILED for film in members),
            reasons=dict(Counter(film.reason for film in members if film.reason).most_common()),
        )
        for title, members in groups.items()
    ]
    return sorted(counts, key=lambda sender: (-sender.not_analysed, -sender.films, sender.calling_ae_title))
