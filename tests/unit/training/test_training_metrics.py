"""Metrics and their confidence intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics


@pytest.mark.slow
@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=60))
def test_auc_equals_that_of_scikit_learn_with_ties(pairs: list[tuple[bool, int]]) -> None:
    from sklearn.metrics import roc_auc_score  # a second of each process that collects tests

    positive = np.array([kind for kind, _ in pairs])
    scores = np.array([float(score) for _, score in pairs])

    value = metrics.auc(positive, scores)

    if positive.all() or not positive.any():
        assert np.isnan(value)
    else:
        assert value == pytest.approx(roc_auc_score(positive, scores))


def test_films_of_one_patient_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    one_each = generator.normal(size=50)
    repeated = np.repeat(one_each, 8)

    def mean(values: "np.typing.NDArray[np.float64]") -> metrics.Statistic:
        return lambda films: float(values[films].mean())

    alone = metrics.with_interval(mean(repeated), [str(number) for number in range(400)], resamples=300)
    grouped = metrics.with_interval(mean(repeated), [str(number // 8) for number in range(400)], resamples=300)

    assert alone.value == grouped.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.low < grouped.value < grouped.high


def test_the_interval_is_the_same_each_time() -> None:
    def first(films: "np.typing.NDArray[np.intp]") -> float:
        return float(films.mean())

    patients = [str(number) for number in range(30)]

    assert metrics.with_interval(first, patients, resamples=50) == metrics.with_interval(first, patients, resamples=50)


def test_platt_finds_the_scale_and_offset_that_made_the_labels() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=20_000)
    positive = generator.random(20_000) < 1 / (1 + np.exp(-(2 * logits - 1)))

    scale, offset = metrics.fit_platt(logits, positive, np.ones(20_000))

    assert scale == pytest.approx(2, abs=0.1)
    assert offset == pytest.approx(-1, abs=0.1)
