"""Comparison of readings, and the limits of repeatability that it is held against."""

import re
from dataclasses import replace

import pytest

from cxr_node.domain import concepts
from cxr_node.domain.comparison import RATIO_KEY, Change, ComparedValue
from cxr_node.domain.film_geometry import SpacingSource, View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reading import Laterality, Measurement, Presence, Reading, Topic
from cxr_node.infer import bundle, bundle_registry
from cxr_node.measure.comparison import compare
from cxr_node.measure.repeatability import Limits, measured_limits, parse_limits
from tests.support import films
from tests.unit.report.studies import WEIGHTS, finding, read

_LIMITS = Limits(
    weights_digest=WEIGHTS,
    by_view={View.PA: {"CTR": 0.02, "lung_area/right": 30.0, "score/Lung Opacity": 10.0}, View.AP: {"CTR": 0.04}},
)


def _ratio(value: float) -> Measurement:
    return Measurement(
        key="CTR", code=concepts.CARDIOTHORACIC_RATIO, value=value, unit=concepts.RATIO, line=(), provenance=""
    )


def _area(value: float) -> Measurement:
    return Measurement(
        key="lung_area/right",
        code=concepts.AREA_OF_LUNG,
        value=value,
        unit=concepts.SQUARE_CENTIMETER,
        line=(),
        provenance="",
        site=concepts.LUNG,
        laterality=Laterality.RIGHT,
    )


def _reading(*measured: Measurement, score: float = 0.5, view: View = View.PA) -> Reading:
    opacity = finding("Lung Opacity", score, Presence.ABSENT)
    return read(films.cr(), opacity, measurements=measured, view=view).reading


def _compared(current: Reading, prior: Reading) -> dict[str, ComparedValue]:
    return {one.key: one for one in compare(current, prior, _LIMITS)}


@pytest.mark.parametrize(
    ("then", "now", "change"),
    [
        (0.47, 0.52, Change.BEYOND),
        (0.52, 0.47, Change.BEYOND),
        (0.50, 0.515, Change.WITHIN),
        (0.50, 0.485, Change.WITHIN),
    ],
)
def test_a_difference_is_a_change_only_beyond_the_limit(then: float, now: float, change: Change) -> None:
    ratio = _compared(_reading(_ratio(now)), _reading(_ratio(then)))[RATIO_KEY]

    assert (ratio.value, ratio.prior_value, ratio.limit, ratio.change) == (now, then, 0.02, change)


def test_each_view_has_its_own_limits() -> None:
    current, prior = (_reading(_ratio(value), view=View.AP) for value in (0.53, 0.50))

    assert _compared(current, prior)[RATIO_KEY].change is Change.WITHIN


def test_pa_is_never_compared_with_ap() -> None:
    assert compare(_reading(_ratio(0.5)), _reading(_ratio(0.6), view=View.AP), _LIMITS) == ()


def test_a_value_that_was_measured_on_one_film_only_is_not_compared() -> None:
    assert RATIO_KEY not in _compared(_reading(_ratio(0.5)), _reading())


def test_films_read_by_two_models_are_not_compared() -> None:
    prior = _reading(_ratio(0.5))
    assert prior.prediction is not None
    model = replace(prior.prediction.model, weights_digest=digest_of(b"others"))

    assert _compared(_reading(_ratio(0.5)), replace(prior, prediction=replace(prior.prediction, model=model))) == {}


def test_a_model_without_limits_is_compared_and_not_judged() -> None:
    current, prior = _reading(_ratio(0.6)), _reading(_ratio(0.4))
    others = replace(_LIMITS, weights_digest=digest_of(b"others"))

    (ratio, score) = compare(current, prior, others)
    assert (ratio.change, ratio.limit, score.change) == (Change.NOT_JUDGED, None, Change.NOT_JUDGED)


def test_areas_are_compared_only_by_pixel_spacings_of_one_kind() -> None:
    current, prior = _reading(_ratio(0.5), _area(230)), _reading(_ratio(0.5), _area(290))
    assert prior.geometry is not None
    assert prior.geometry.spacing is not None
    at_patient = replace(prior.geometry.spacing, source=SpacingSource.CALIBRATED)
    otherwise = replace(prior, geometry=replace(prior.geometry, spacing=at_patient))

    assert _compared(current, prior)["lung_area/right"].change is Change.BEYOND
    assert set(_compared(current, otherwise)) == {RATIO_KEY, "score/Lung Opacity"}


def test_densities_are_not_compared() -> None:
    density = replace(_ratio(0.5), key="density/right_upper", topic=Topic.DENSITIES)

    assert set(_compared(_reading(density), _reading(density))) == {"score/Lung Opacity"}


def test_scores_are_0_to_100() -> None:
    score = _compared(_reading(score=0.7), _reading(score=0.55))["score/Lung Opacity"]

    assert (round(score.value), round(score.prior_value), score.change) == (70, 55, Change.BEYOND)


def test_limits_are_those_of_the_built_in_bundle() -> None:
    card = bundle.load(bundle_registry.find("chest")).card

    assert measured_limits().weights_digest == card.network.digest
    for view in (View.PA, View.AP):
        assert {RATIO_KEY, "lung_area/right", "costophrenic_angle/left"} <= measured_limits().by_view[view].keys()
        assert not [key for key in measured_limits().by_view[view] if key.startswith("score/")]  # of normal phantoms


def test_the_page_states_the_limits_in_use() -> None:
    page = (films.ROOT / "docs" / "reference" / "measurements.md").read_text(encoding="utf-8")
    section = page.partition("\n## Repeatability\n")[2].partition("\n## ")[0]
    for view in (View.PA, View.AP):
        table = section.partition(f"| {view}: value |")[2].partition("\n\n")[0]
        rows = dict(re.findall(r"^\| (\S.*?) \| .* \| ([\d.]+) \|$", table, re.MULTILINE))
        assert {key: float(value) for key, value in rows.items()} == measured_limits().by_view[view]


@pytest.mark.parametrize("text", ['weights_digest = "0"\n[PA]\nCTR = 0', 'weights_digest = "0"\n[PA]\nCTR = -1'])
def test_a_limit_that_is_not_positive_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        parse_limits(text)
