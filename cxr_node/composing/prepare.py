"""Preparation of a study for composing: its films with the headers in their archived bytes, parsed in the executor."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm, named_by_row, report_film, report_guarded
from cxr_node.composing.route import Route
from cxr_node.composing.study import Study
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.executor import Executor
from cxr_node.records.results import Result
from cxr_node.report.source import ReportedFilm


def prepare_study(
    readings: Sequence[tuple[Film, Reading]],
    composed_earlier: Sequence[Result],
    *,
    executor: Executor[ComposeContext],
    routes: Mapping[str, Route],
    is_guarded: bool = False,
    replaced: Sequence[Result],
    comparisons: Mapping[int, Comparison],
    awaiting: AbstractSet[int] = frozenset(),
    issue: int,
    now: datetime,
) -> Study:
    """Return the study of films and their readings; see `pipeline.compose`.

    Raises
    ------
    ProcessDied
        If the process that parsed the films died, or was ended at a limit.
    """
    films = [
        ReadFilm(
            film=film,
            reading=reading,
            added_after=sum(result.composed_at < film.received_at for result in composed_earlier),
            issue=issue,
        )
        for film, reading in readings
    ]
    reported = [_report(executor, item, is_guarded=is_guarded) for item in films]
    return Study(
        films=[
            (
                item.film,
                replace(
                    film,
                    comparison=comparisons.get(item.film.film_id),
                    awaits_prior=item.film.film_id in awaiting,
                ),
            )
            for item, film in zip(films, reported, strict=True)
        ],
        composed_earlier=composed_earlier,
        routes=routes,
        replaced=replaced,
        has_pictures=not is_guarded,
        now=now,
    )


def _report(executor: Executor[ComposeContext], item: ReadFilm, *, is_guarded: bool) -> ReportedFilm:
    if item.reading.not_analysed is Reason.DISMISSED:
        return named_by_row(item)
    if is_guarded:
        return report_guarded(executor, item)
    (reported,) = executor.map(report_film, [item])
    return reported
