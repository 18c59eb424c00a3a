"""Comparison of a study's films with prior films, before its results are composed: received ones, else fetched ones."""

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm
from cxr_node.composing.priors import CompareRequest, compare_with_prior
from cxr_node.db.database import Database, Transaction
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Reading
from cxr_node.process_pool.executor import Executor
from cxr_node.records import comparisons, fetched_films, prior_searches

_log = logging.getLogger(__name__)

Compared = tuple[int, Comparison]
"""The id of a prior film, and the comparison with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyComparisons:
    """Comparisons by the id of the film, with received prior films and with fetched ones.

    A film that is `awaiting` has none, and its prior film is still searched for.
    """

    received: Mapping[int, Compared] = field(default_factory=dict)
    fetched: Mapping[int, Compared] = field(default_factory=dict)
    awaiting: AbstractSet[int] = frozenset()

    @property
    def by_film(self) -> dict[int, Comparison]:
        """All comparisons by the id of the film."""
        return {film_id: comparison for film_id, (_, comparison) in (*self.received.items(), *self.fetched.items())}

    def write(self, transaction: Transaction, films: Sequence[Film]) -> None:
        """Write the comparisons of a study's films, in place of those of earlier results."""
        comparisons.write(transaction, [film.film_id for film in films], self.received, self.fetched)


NO_COMPARISONS = StudyComparisons()


def compare_study(
    ready: Sequence[tuple[Film, Reading]],
    *,
    database: Database,
    executor: Executor[ComposeContext],
    maximum_age_days: int,
) -> StudyComparisons:
    """Compare each film of a study with its prior film, where the archive has one, or one was fetched.

    Raises
    ------
    ProcessDied
        If the process that parsed the films died, or was ended at a limit.
    """
    received: dict[int, Compared] = {}
    fetched: dict[int, Compared] = {}
    for film, reading in ready:
        own = compare_with_kept(film, reading, database, executor, maximum_age_days=maximum_age_days)
        if own is not None:
            received[film.film_id] = own
            continue
        other = _compare_with_fetched(film, reading, database, executor, maximum_age_days=maximum_age_days)
        if other is not None:
            fetched[film.film_id] = other
    with database.read() as connection:
        awaiting = prior_searches.awaited(connection, [film.film_id for film, _ in ready])
    return StudyComparisons(received=received, fetched=fetched, awaiting=awaiting - received.keys() - fetched.keys())


def compare_with_kept(
    film: Film, reading: Reading, database: Database, executor: Executor[ComposeContext], *, maximum_age_days: int
) -> Compared | None:
    """Compare a film with the prior film that the node's own archive has; None if it has none."""
    with database.read() as connection:
        candidates = comparisons.candidates(connection, film, reading)
    comparison = _compare(film, reading, candidates, executor, maximum_age_days=maximum_age_days)
    if comparison is None:
        return None
    uid = comparison.prior.sop_instance_uid
    prior = next(one for one, _ in candidates if one.identity.sop_instance_uid == uid)
    with database.read() as connection:
        report = comparisons.report_on(connection, prior.study_id)
    _log.info("film %d is compared with film %d", film.film_id, prior.film_id)
    return prior.film_id, replace(comparison, prior_report=report)


def _compare_with_fetched(
    film: Film, reading: Reading, database: Database, executor: Executor[ComposeContext], *, maximum_age_days: int
) -> Compared | None:
    with database.read() as connection:
        prior = fetched_films.prior_of(connection, film.film_id)
    if prior is None:
        return None
    fetched, prior_reading = prior
    candidates = [(fetched.film, prior_reading)]
    comparison = _compare(film, reading, candidates, executor, maximum_age_days=maximum_age_days)
    if comparison is None:
        return None
    _log.info("film %d is compared with fetched film %d", film.film_id, fetched.fetched_film_id)
    return fetched.fetched_film_id, comparison


def _compare(
    film: Film,
    reading: Reading,
    candidates: Sequence[tuple[Film, Reading]],
    executor: Executor[ComposeContext],
    *,
    maximum_age_days: int,
) -> Comparison | None:
    if not candidates:
        return None
    request = CompareRequest(
        film=ReadFilm(film=film, reading=reading),
        candidates=[ReadFilm(film=one, reading=read) for one, read in candidates],
        maximum_age_days=maximum_age_days,
    )
    (comparison,) = executor.map(compare_with_prior, [request])
    return comparison
