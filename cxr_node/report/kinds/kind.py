"""Result kind: the seam of results. A new kind is one file in this package and one line in `registry.RESULT_KINDS`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from cxr_node.domain.instance import Instance
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, Observer, ReferredResult, ReportedFilm
from cxr_node.report.sr.content import ContentItem
from cxr_node.report.sr.document import document
from cxr_node.report.study import collate, numbered

Compose = Callable[[ComposeRequest], list[Instance]]
"""Returns all results, possibly none; those that an earlier run made have the UID of the earlier one.

Raises GiveUp with IDENTITY if the films are not of one patient and study, with RESULT if a result fails `check`.
"""

Content = Callable[[Sequence[ReportedFilm], Observer], ContentItem]
"""Makes the tree of a document on films with safe headers."""

ReferringContent = Callable[[Sequence[ReportedFilm], Observer, Sequence[ReferredResult]], ContentItem]
"""Makes the tree of a document that refers to other results of its run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultKind:
    """A kind of result: its name in the settings, the type of its objects, and how they are composed.

    Kinds are composed by ascending `order`, so that a document can refer to results of a lower one.
    """

    name: str
    result_type: ResultType
    compose_all: Compose
    order: int = 0

    def compose(self, request: ComposeRequest) -> list[Instance]:
        """Return the results that are not among the earlier ones, possibly none."""
        return [result for result in self.compose_all(request) if request.is_new(result)]

    def referred(self, results: Iterable[Instance]) -> list[ReferredResult]:
        """Return results of this kind as a report refers to them; none of a form of the report."""
        name = self.result_type.referred_as
        if name is None:
            return []
        is_image, type_name = self.result_type.is_image, self.result_type.name
        return [
            ReferredResult(name=name, type_name=type_name, is_image=is_image, instance=result) for result in results
        ]


def document_kind(name: str, result_type: ResultType, content: Content) -> ResultKind:
    """Return a kind of one document per study; `content` makes its tree."""
    return referring_kind(name, result_type, lambda films, observer, _: content(films, observer), order=0)


def referring_kind(name: str, result_type: ResultType, content: ReferringContent, *, order: int) -> ResultKind:
    """Return a kind of one document per study that refers to results of the same run."""

    def compose_document(films: Sequence[ReportedFilm], request: ComposeRequest, instance_number: int) -> Instance:
        tree = content(films, request.observer, request.results)
        return document(tree, films, result_type, request, instance_number)

    return study_kind(name, result_type, compose_document, order=order)


def study_kind(
    name: str,
    result_type: ResultType,
    compose_study: Callable[[Sequence[ReportedFilm], ComposeRequest, int], Instance],
    *,
    order: int = 0,
) -> ResultKind:
    """Return a kind of one object per study, which `compose_study` makes of the films with safe headers."""

    def compose_all(request: ComposeRequest, instance_number: int) -> Instance:
        return compose_study(collate(request.films), request, instance_number)

    return ResultKind(
        name=name,
        result_type=result_type,
        compose_all=lambda request: _results([partial(compose_all, request)], request),
        order=order,
    )


def film_kind(
    name: str, result_type: ResultType, compose_film: Callable[[ReportedFilm, ComposeRequest, int], Instance | None]
) -> ResultKind:
    """Return a kind of at most one object per film, which `compose_film` makes with its Instance Number."""
    return ResultKind(
        name=name,
        result_type=result_type,
        compose_all=lambda request: _results(
            (partial(compose_film, film, request) for film in numbered(request.films)), request
        ),
    )


def _results(composers: Iterable[Callable[[int], Instance | None]], request: ComposeRequest) -> list[Instance]:
    """Compose results in order; each new one has the Instance Number after the last."""
    results: list[Instance] = []
    number = len(request.earlier) + 1
    for compose in composers:
        result = compose(number)
        if result is not None:
            results.append(result)
            number += request.is_new(result)
    return results
