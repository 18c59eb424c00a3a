"""Measurement Groups of prior films (TID 1501): what was measured on them, each at its time point (TID 1502).

A group refers to the prior film as Source of Measurement, and to what was reported of it as Previous Finding (121069).
Both are Pertinent Other Evidence of the document, because they are of another study.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from cxr_node.domain.codes import Code
from cxr_node.domain.comparison import RATIO_KEY, Change, ComparedValue, Comparison
from cxr_node.domain.reading import Laterality
from cxr_node.domain.stated_numbers import digits_of_ratio
from cxr_node.report import codes
from cxr_node.report.header.uids import tracking_identifier, tracking_uid
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.algorithm import measuring
from cxr_node.report.sr.content import ContentItem, Relationship, code, composite, image, number, text, uid_reference
from cxr_node.report.sr.measurement_groups import site_rows, tracked_place
from cxr_node.report.study import acquired_on

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD
_Place = tuple[Code | None, Laterality | None]
_Group = Callable[[Sequence[ContentItem]], ContentItem]


def own_time_point(film: ReportedFilm) -> list[ContentItem]:
    """Return the time point of a film that is compared with a prior one (TID 1502)."""
    acquired = None if film.comparison is None or film.comparison.of(RATIO_KEY) is None else acquired_on(film)
    return [] if acquired is None else [_time_point(date.fromisoformat(acquired[0]).isoformat())]


def _time_point(day: str) -> ContentItem:
    """Return a time point: the day on which a film was acquired, as 2025-03-02."""
    return text(codes.TIME_POINT, day, _CONTEXT)


def change_of_ratio(film: ReportedFilm) -> list[ContentItem]:
    """Return the change of a film's cardiothoracic ratio since the prior film, if that was judged."""
    ratio = None if film.comparison is None else film.comparison.of(RATIO_KEY)
    return (
        [] if ratio is None or ratio.change is Change.NOT_JUDGED else [code(codes.CHANGE, codes.CHANGES[ratio.change])]
    )


def prior_ratios(films: Sequence[ReportedFilm], observer: Observer, group: _Group) -> Iterator[ContentItem]:
    """Yield a group for each prior film, once, with its cardiothoracic ratio."""
    for compared in _films_by_prior(films):
        for film, comparison in compared:
            ratio = comparison.of(RATIO_KEY)
            if ratio is not None:
                rows = [*_tracking(observer, comparison, "Film", "quality"), *measuring(film, observer, _MODIFIER)]
                yield group([*rows, _number(ratio), *_sources(comparison)])
                break


def prior_measurements(films: Sequence[ReportedFilm], observer: Observer, group: _Group) -> Iterator[ContentItem]:
    """Yield a group for each measured place of each prior film, with what was measured there on both films."""
    for compared in _films_by_prior(films):
        film, comparison = compared[0]
        for (site, side), values in _values_by_place(compared).items():
            label, key = tracked_place(site, side)
            rows = [*_tracking(observer, comparison, label, key), *measuring(film, observer, _MODIFIER)]
            yield group([*rows, *site_rows(site, side), *map(_number, values), *_sources(comparison)])


def _films_by_prior(films: Sequence[ReportedFilm]) -> list[list[tuple[ReportedFilm, Comparison]]]:
    """Return the films that are compared, with their comparisons, those with one prior film together."""
    priors: dict[str, list[tuple[ReportedFilm, Comparison]]] = {}
    for film in films:
        if film.comparison is not None:
            priors.setdefault(film.comparison.prior.sop_instance_uid, []).append((film, film.comparison))
    return list(priors.values())


def _values_by_place(compared: Sequence[tuple[ReportedFilm, Comparison]]) -> dict[_Place, list[ComparedValue]]:
    """Return each measurement of a prior film that is compared with any of these films, once, by its place."""
    places: dict[_Place, dict[str, ComparedValue]] = {}
    for film, comparison in compared:
        measurements = {one.key for one in film.reading.measurements}
        for value in comparison.values:
            if value.key in measurements:
                site = codes.HEART if value.site is None and value.key in codes.MEASUREMENTS else value.site
                places.setdefault((site, value.laterality), {}).setdefault(value.key, value)
    return {place: list(values.values()) for place, values in places.items()}


def _tracking(observer: Observer, comparison: Comparison, label: str, key: str) -> list[ContentItem]:
    """Return tracking, as in the report on the prior film, and time point."""
    return [
        text(codes.TRACKING_IDENTIFIER, tracking_identifier(observer, label), _CONTEXT),
        uid_reference(codes.TRACKING_UNIQUE_IDENTIFIER, tracking_uid(comparison.prior.sop_instance_uid, key), _CONTEXT),
        _time_point(comparison.prior_date),
    ]


def _number(value: ComparedValue) -> ContentItem:
    stated = value.prior_value
    if value.key == RATIO_KEY:
        stated = round(stated, digits_of_ratio(stated))
    return number(value.code, stated, value.unit, Relationship.CONTAINS)


def _sources(comparison: Comparison) -> list[ContentItem]:
    report = comparison.prior_report
    earlier = [] if report is None else [composite(codes.PREVIOUS_FINDING, report)]
    return [*earlier, image(codes.SOURCE_OF_MEASUREMENT, comparison.prior)]
