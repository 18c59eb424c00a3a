"""Comparison of a reading with that of a prior film: measurements by the same outlines, scores by the same model. Pure.

Only films of one view are compared: on AP films the heart is magnified. Lengths and areas also need the same kind of
pixel spacing. Densities and borders move with the processing of a film and are not compared.
"""

from collections.abc import Iterator

from cxr_node.domain import concepts
from cxr_node.domain.comparison import Change, ComparedValue
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.reading import Reading, Topic
from cxr_node.measure.repeatability import Limits

SCORE = "score/"
"""Prefix of the keys of scores."""

_WITHOUT_SPACING = frozenset({concepts.RATIO, concepts.DEGREE})


def compare(current: Reading, prior: Reading, limits: Limits) -> tuple[ComparedValue, ...]:
    """Return what was measured on both films, and the scores that one model gave both; () for films of two views."""
    if current.geometry is None or prior.geometry is None or not _is_one_view(current.geometry, prior.geometry):
        return ()
    return (*_measurements(current, prior, limits), *_scores(current, prior, limits))


def _is_one_view(current: Geometry, prior: Geometry) -> bool:
    return current.view.is_frontal and current.view is prior.view


def _measurements(current: Reading, prior: Reading, limits: Limits) -> Iterator[ComparedValue]:
    if current.prediction is None or prior.prediction is None:
        return
    digest = current.prediction.anatomy_model.weights_digest
    if digest != prior.prediction.anatomy_model.weights_digest:
        return
    view, has_spacing = _view(current), _has_one_spacing(current, prior)
    earlier = {one.key: one for one in prior.measurements}
    for one in current.measurements:
        then = earlier.get(one.key)
        if then is None or one.topic is not Topic.PROPORTIONS or one.unit != then.unit:
            continue
        limit = limits.limit(one.key, view, digest)
        if has_spacing or one.unit in _WITHOUT_SPACING:
            yield ComparedValue(
                key=one.key,
                code=one.code,
                unit=one.unit,
                value=one.value,
                prior_value=then.value,
                site=one.site,
                laterality=one.laterality,
                change=_change(one.value - then.value, limit),
                limit=limit,
            )


def _scores(current: Reading, prior: Reading, limits: Limits) -> Iterator[ComparedValue]:
    if current.prediction is None or prior.prediction is None:
        return
    view = _view(current)
    earlier = {(one.key, prior.prediction.model_of(one).weights_digest): one for one in prior.prediction.findings}
    for one in current.prediction.findings:
        digest = current.prediction.model_of(one).weights_digest
        then = earlier.get((one.key, digest))
        if then is None or one.key == concepts.CARDIOMEGALY_BY_RATIO:  # whose score is the ratio
            continue
        value, prior_value = 100 * one.score, 100 * then.score
        limit = limits.limit(f"{SCORE}{one.key}", view, digest)
        yield ComparedValue(
            key=f"{SCORE}{one.key}",
            code=one.code,
            unit=concepts.NO_UNITS,
            value=value,
            prior_value=prior_value,
            site=one.site,
            change=_change(value - prior_value, limit),
            limit=limit,
        )


def _change(difference: float, limit: float | None) -> Change:
    if limit is None:
        return Change.NOT_JUDGED
    return Change.BEYOND if abs(difference) > limit else Change.WITHIN


def _view(reading: Reading) -> View:
    return View.UNKNOWN if reading.geometry is None else reading.geometry.view


def _has_one_spacing(current: Reading, prior: Reading) -> bool:
    """Whether the pixel spacings of both films are of one kind: one at the detector is larger than at the patient."""
    spacings = [one.geometry.spacing if one.geometry is not None else None for one in (current, prior)]
    return None not in spacings and len({spacing.source for spacing in spacings if spacing is not None}) == 1
