"""Results of a study, composed from films whose headers are known; only pictures need pixels."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.route import Route, routing_facts
from cxr_node.deliver.routing import study_decision
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.pixels import film as pixels
from cxr_node.pixels.parsing import parse
from cxr_node.records.results import Result
from cxr_node.report.grouping import by_patient
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.run import Run
from cxr_node.report.source import ComposeRequest, PreviousReport, ReportedFilm

_log = logging.getLogger(__name__)

LoadFilm = Callable[[ReportedFilm], ReducedFilm | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The films of a study as results name them, its earlier results, and the routes to destinations.

    `replaced` are results of other studies on films that a person moved to this one. Without `has_pictures`, no
    film is painted.
    """

    films: Sequence[tuple[Film, ReportedFilm]]
    composed_earlier: Sequence[Result]
    routes: Mapping[str, Route]
    replaced: Sequence[Result] = ()
    has_pictures: bool = True
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedInstance:
    """A result that is not in the archive yet; `version` counts the results of its kind in the study.

    `superseded` are the ids of the earlier results of its kind and patient that are no result of the study any more.
    """

    kind: str
    version: int
    instance: Instance
    destinations: tuple[str, ...]
    superseded: tuple[int, ...] = ()


def compose_study(context: ComposeContext, study: Study) -> list[ComposedInstance]:
    """Return the results of a study that differ from the earlier ones.

    Of the context's kinds, those of at least one matching route are composed; the first if there is none. Films that
    reading has left in a reduced form are removed then.

    Raises
    ------
    GiveUp
        If no header is a received one, or a result fails its validation.
    """
    facts = [routing_facts(film, source.reading, source.header) for film, source in study.films]
    matching = {name: route for name, route in study.routes.items() if study_decision(route.condition, facts).met}
    groups = [(films, Run()) for films in by_patient([source for _, source in study.films])]
    load = _loader(context, study)
    composed: list[ComposedInstance] = []
    for kind in _in_order(context.kinds, list(matching.values())):
        destinations = tuple(name for name, route in matching.items() if kind.result_type.name in route.kinds)
        composed += _compose_kind(context, study, kind, groups, destinations, load)
    if context.reduced_films is not None:
        for film, _ in study.films:
            context.reduced_films.discard(film.digest)
    return composed


def _in_order(kinds: Sequence[ResultKind], routes: Sequence[Route]) -> list[ResultKind]:
    """Return the kinds of at least one route, or else the first, in the order of composing."""
    wanted = [kind for kind in kinds if any(kind.result_type.name in route.kinds for route in routes)]
    return sorted(wanted or kinds[:1], key=lambda kind: kind.order)


def _compose_kind(
    context: ComposeContext,
    study: Study,
    kind: ResultKind,
    groups: Sequence[tuple[tuple[ReportedFilm, ...], Run]],
    destinations: tuple[str, ...],
    load: LoadFilm,
) -> Iterator[ComposedInstance]:
    type_name = kind.result_type.name
    earlier = [result for result in study.composed_earlier if result.kind == type_name]
    version = len(earlier)
    for films, run in groups:
        of_patient = _earlier_of(films, earlier, is_only_patient=len(groups) == 1)
        request = ComposeRequest(
            films=films,
            load_film=load,
            observer=context.observer,
            now=study.now,
            earlier=[_previous(result) for result in of_patient],
            replaced=[_previous(result) for result in study.replaced if result.kind == type_name],
            results=run.sent_to(destinations),
        )
        results = kind.compose_all(request)
        run.add(kind.referred(results), destinations)
        present = {instance.identity.sop_instance_uid for instance in results}
        superseded = tuple(one.result_id for one in of_patient if one.identity.sop_instance_uid not in present)
        for instance in filter(request.is_new, results):
            version += 1
            yield ComposedInstance(
                kind=type_name,
                version=version,
                instance=instance,
                destinations=destinations,
                superseded=superseded,
            )


def _loader(context: ComposeContext, study: Study) -> LoadFilm:
    """Return a function that returns a film reduced; None if it may not be decoded, or cannot be any more.

    Of a film that reading has left in this form, nothing is decoded. The last film is held, as several kinds of results
    may show it.
    """
    if not study.has_pictures:
        return lambda _film: None
    # Of several films of one SOP Instance UID only the original is analysed, and painted.
    originals = {film.identity.sop_instance_uid: film for film, _ in study.films if film.is_original}

    held: dict[Uid, ReducedFilm | None] = {}

    def load(reported: ReportedFilm) -> ReducedFilm | None:
        uid = reported.reading.film.sop_instance_uid
        if uid not in held:
            held.clear()
            held[uid] = _reduced(context, originals[uid])
        return held[uid]

    return load


def _reduced(context: ComposeContext, film: Film) -> ReducedFilm | None:
    reduced = None if context.reduced_films is None else context.reduced_films.get(film.digest)
    if reduced is not None:
        context.film_bytes.let_go()
        return reduced
    try:
        dataset = parse(context.film_bytes.read_again(context.archive, film), limits=context.limits)
        return reduce_film(pixels.radiograph(dataset, limits=context.limits, sandbox=context.sandbox))
    except GiveUp as gave_up:
        _log.error("no picture of film %d, which was read: %s", film.film_id, gave_up)
        return None


def _earlier_of(films: Sequence[ReportedFilm], earlier: Sequence[Result], *, is_only_patient: bool) -> list[Result]:
    """Return the earlier results of the study; of one of its several patients, those of that patient."""
    keys = {film.reading.film.patient_key for film in films}
    return [result for result in earlier if is_only_patient or result.identity.patient_key in keys]


def _previous(result: Result) -> PreviousReport:
    return PreviousReport(
        sop_class_uid=result.identity.sop_class_uid,
        sop_instance_uid=result.identity.sop_instance_uid,
        series_instance_uid=result.identity.series_instance_uid,
        study_instance_uid=result.identity.study_instance_uid,
        composed_at=result.composed_at,
    )
