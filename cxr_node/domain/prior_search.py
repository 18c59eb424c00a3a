"""Search for the prior film of a film at other archives: its states, what is asked for, and what an archive offers."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from cxr_node.domain.errors import RetryLater
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import Digest, Uid

if TYPE_CHECKING:
    from cxr_node.domain.instance import Instance


class SearchState(StrEnum):
    """State of the search for the prior film of a film."""

    WAITING = "waiting"
    """To be tried, or tried again."""
    FETCHED = "fetched"
    """A film was fetched, and is to be read."""
    READ = "read"
    """The fetched film was read: results are composed with it."""
    OWN = "own"
    """The node's own archive has a prior film."""
    NONE = "none"
    """No source has one, or the film does not state whose it is."""
    EXPIRED = "expired"
    """None came in time."""


ENDED = frozenset({SearchState.READ, SearchState.OWN, SearchState.NONE, SearchState.EXPIRED})
"""States in which nothing more is done."""


class SearchFailed(RetryLater):
    """A source gave no answer, or not the film; the same may succeed later. The sentence quotes no value of a film."""


class FilmNotSent(SearchFailed):
    """A source has answered the retrieval of one film, and not sent it; others may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorQuery:
    """What a prior film must be: of this patient and view, of another study, and acquired before the film.

    Patient ID and Issuer of Patient ID are ASCII. `date` has 8 digits, `time` is "" where it is not stated.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    patient_key: Digest
    study_instance_uid: Uid
    view: View
    date: str
    time: str
    earliest: str
    """The first date that is not too long before."""

    def is_earlier(self, date: str, time: str) -> bool:
        """Whether a film was acquired before, and not too long: on one day only if both state their time."""
        if date == self.date:
            return bool(time and self.time) and time < self.time
        return self.earliest <= date < self.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An instance that a source offers as prior film, by its UIDs; `date` and `time` are those that it states."""

    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    date: str
    time: str


class PriorSource(Protocol):
    """An archive that is asked for prior films. Times are seconds of `time.monotonic`."""

    @property
    def name(self) -> str:
        """Name in the settings."""
        ...

    def candidates(self, query: PriorQuery, *, until: float) -> list[Candidate]:
        """Return the films that may be the prior, the newest first.

        Raises
        ------
        SearchFailed
            If there is no whole answer by `until`.
        """
        ...

    def fetch(self, candidate: Candidate, *, until: float) -> "Instance":
        """Return the instance, its data set as the source sent it.

        Raises
        ------
        FilmNotSent
            If the source has answered without it.
        SearchFailed
            If it has not come by `until`.
        """
        ...
