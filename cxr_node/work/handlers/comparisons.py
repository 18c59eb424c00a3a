"""Comparison of a study's films with prior films of the archive, before its results are composed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm
from cxr_node.composing.priors import CompareRequest, compare_with_prior
from cxr_node.db.database import Database, Transaction
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.reading import Reading
from cxr_node.process_pool.executor import Executor
from cxr_node.records import comparisons
from cxr_node.records.films import Film

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyComparisons:
    """Comparisons of films by the id of the film, each with the film that is its prior."""

    by_film: Mapping[int, Comparison] = field(default_factory=dict)
    priors: Mapping[int, Film] = field(default_factory=dict)

    def write(self, transaction: Transaction, films: Sequence[Film]) -> None:
        """Write the comparisons of a study's films, in place of those of earlier results."""
        rows = {film_id: (self.priors[film_id].film_id, one) for film_id, one in self.by_film.items()}
        comparisons.write(transaction, [film.film_id for film in films], rows)


NO_COMPARISONS = StudyComparisons()


def compare_study(
    ready: Sequence[tuple[Film, Reading]],
    *,
    database: Database,
    executor: Executor[ComposeContext],
    maximum_age_days: int,
) -> StudyComparisons:
    """Compare each film of a study with its prior film, where the archive has one.

    Raises
    ------
    ProcessDied
        If the process that parsed the films died, or was ended at a limit.
    """
    by_film: dict[int, Comparison] = {}
    priors: dict[int, Film] = {}
    for film, reading in ready:
        with database.read() as connection:
            candidates = comparisons.candidates(connection, film, reading)
        if not candidates:
            continue
        request = CompareRequest(
            film=ReadFilm(film=film, reading=reading),
            candidates=[ReadFilm(film=one, reading=read) for one, read in candidates],
            maximum_age_days=maximum_age_days,
        )
        (comparison,) = executor.map(compare_with_prior, [request])
        if comparison is None:
            continue
        uid = comparison.prior.sop_instance_uid
        prior = next(one for one, _ in candidates if one.identity.sop_instance_uid == uid)
        with database.read() as connection:
            report = comparisons.report_on(connection, prior.study_id)
        by_film[film.film_id] = replace(comparison, prior_report=report)
        priors[film.film_id] = prior
        _log.info("film %d is compared with film %d", film.film_id, prior.film_id)
    return StudyComparisons(by_film=by_film, priors=priors)
