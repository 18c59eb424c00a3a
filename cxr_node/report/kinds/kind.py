"""Result kind: the seam of results. A new kind is one file in this package and one line in `registry.RESULT_KINDS`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from cxr_node.domain.instance import Instance
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem
from cxr_node.report.sr.document import document
from cxr_node.report.study import collate, numbered

Compose = Callable[[ComposeRequest], list[Instance]]
"""Returns the results that are not among the earlier ones, possibly none.

Raises GiveUp with IDENTITY if the films are not of one patient and study, with RESULT if a result fails `check`.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultKind:
    """A kind of result: its name in the settings, the type of its objects, and how they are composed."""

    name: str
    result_type: ResultType
    compose: Compose


def document_kind(
    name: str,
    result_type: ResultType,
    content: Callable[[Sequence[ReportedFilm], Observer], ContentItem],
    *,
    select: Callable[[ReportedFilm], bool] = lambda _film: True,
) -> ResultKind:
    """Return a kind of one document per study; `content` makes its tree from the films that `select` admits."""

    def compose_document(request: ComposeRequest, instance_number: int) -> Instance | None:
        films = [film for film in collate(request.films) if select(film)]
        if not films:
            return None
        return document(content(films, request.observer), films, result_type, request, instance_number)

    return ResultKind(
        name=name,
        result_type=result_type,
        compose=lambda request: _new_results([partial(compose_document, request)], request),
    )


def film_kind(
    name: str, result_type: ResultType, compose_film: Callable[[ReportedFilm, ComposeRequest, int], Instance | None]
) -> ResultKind:
    """Return a kind of at most one object per film, which `compose_film` makes with its Instance Number."""
    return ResultKind(
        name=name,
        result_type=result_type,
        compose=lambda request: _new_results(
            (partial(compose_film, film, request) for film in numbered(request.films)), request
        ),
    )


def _new_results(composers: Iterable[Callable[[int], Instance | None]], request: ComposeRequest) -> list[Instance]:
    """Compose results in order, each with its Instance Number; return those whose UID is not an earlier one's."""
    earlier = {result.sop_instance_uid for result in request.earlier}
    results: list[Instance] = []
    for compose in composers:
        result = compose(len(request.earlier) + len(results) + 1)
        if result is not None and result.identity.sop_instance_uid not in earlier:
            results.append(result)
    return results
