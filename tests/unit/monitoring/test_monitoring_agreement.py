"""Agreement of two models against known results."""

import numpy as np
import pytest

from cxr_node.monitoring.agreement import ScorePair, agreement, kappa, specific_agreement


def pairs(*counts: int) -> list[ScorePair]:
    """Return score pairs of films that both, the first, the second or neither model calls present."""
    scores = ((0.9, 0.8), (0.9, 0.2), (0.1, 0.8), (0.1, 0.2))
    return [
        ScorePair(first=first, first_operating_point=0.5, second=second, second_operating_point=0.5)
        for (first, second), count in zip(scores, counts, strict=True)
        for _ in range(count)
    ]


@pytest.mark.parametrize("counts", [(20, 5, 10, 15), (90, 1, 2, 7), (1, 30, 30, 1)])
def test_kappa_is_that_of_scikit_learn(counts: tuple[int, int, int, int]) -> None:
    from sklearn.metrics import cohen_kappa_score  # it takes a second to import

    films = pairs(*counts)
    expected = cohen_kappa_score([pair.first >= 0.5 for pair in films], [pair.second >= 0.5 for pair in films])

    interval = kappa(*counts)

    assert interval is not None
    assert interval.value == pytest.approx(expected)
    assert interval.low < interval.value < interval.high


def test_the_interval_of_kappa_covers_the_true_kappa_in_95_percent() -> None:
    chance = np.random.default_rng(1)
    shares = np.array([0.4, 0.1, 0.2, 0.3])
    intervals = [kappa(*(int(n) for n in chance.multinomial(200, shares))) for _ in range(2000)]
    true = kappa(400, 100, 200, 300)

    assert true is not None
    covers = [one is not None and one.low <= true.value <= one.high for one in intervals]
    assert 0.92 < np.mean(covers) < 0.97


def test_specific_agreement_is_that_of_the_formula_and_has_an_interval() -> None:
    interval = specific_agreement(20, 15)

    assert interval is not None
    assert interval.value == pytest.approx(40 / 55)
    assert 0.5 < interval.low < interval.value < interval.high < 0.9
    assert specific_agreement(0, 0) is None


def test_shift_and_limits_are_those_of_the_differences() -> None:
    result = agreement(pairs(2, 1, 0, 1))

    differences = [-0.1, -0.1, -0.7, 0.1]
    assert result.shift == pytest.approx(np.mean(differences))
    assert result.limits == pytest.approx(
        (
            np.mean(differences) - 1.96 * np.std(differences, ddof=1),
            np.mean(differences) + 1.96 * np.std(differences, ddof=1),
        ),
        abs=1e-4,
    )
    assert result.quantiles == pytest.approx(tuple(np.quantile(differences, (0.05, 0.5, 0.95))))


def test_kappa_is_undefined_where_a_model_gives_one_call_only() -> None:
    assert agreement(pairs(0, 0, 0, 5)).kappa is None
    assert agreement(pairs(1, 0, 4, 0)).kappa is None
    assert agreement(pairs(0, 0, 0, 1)).limits is None
    with pytest.raises(ValueError, match="no films"):
        agreement([])
