"""Agreement of two models, held against known figures."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from cxr_node.monitoring.agreement import Pair, agreement, kappa, specific


def pairs(*counts: int) -> list[Pair]:
    """Return films that both, the first, the second or neither calls present."""
    scores = ((0.9, 0.8), (0.9, 0.2), (0.1, 0.8), (0.1, 0.2))
    return [
        Pair(first=first, first_point=0.5, second=second, second_point=0.5)
        for (first, second), many in zip(scores, counts, strict=True)
        for _ in range(many)
    ]


@pytest.mark.parametrize("counts", [(20, 5, 10, 15), (90, 1, 2, 7), (1, 30, 30, 1)])
def test_kappa_is_that_of_scikit_learn(counts: tuple[int, int, int, int]) -> None:
    films = pairs(*counts)
    known = cohen_kappa_score([each.first >= 0.5 for each in films], [each.second >= 0.5 for each in films])

    found = kappa(*counts)

    assert found is not None
    assert found.value == pytest.approx(known)
    assert found.low < found.value < found.high


def test_the_interval_of_kappa_is_as_wide_as_kappa_varies() -> None:
    chance = np.random.default_rng(1)
    shares = np.array([0.4, 0.1, 0.2, 0.3])
    several = [kappa(*(int(n) for n in chance.multinomial(200, shares))) for _ in range(2000)]
    true = kappa(400, 100, 200, 300)

    assert true is not None
    held = [each is not None and each.low <= true.value <= each.high for each in several]
    assert 0.92 < np.mean(held) < 0.97


def test_agreement_of_a_kind_is_twice_the_agreed_over_all_that_were_said() -> None:
    found = specific(20, 15)

    assert found is not None
    assert found.value == pytest.approx(40 / 55)
    assert 0.5 < found.low < found.value < found.high < 0.9
    assert specific(0, 0) is None


def test_shift_and_limits_are_those_of_the_differences() -> None:
    found = agreement(pairs(2, 1, 0, 1))

    differences = [-0.1, -0.1, -0.7, 0.1]
    assert found.shift == pytest.approx(np.mean(differences))
    assert found.limits == pytest.approx(
        (
            np.mean(differences) - 1.96 * np.std(differences, ddof=1),
            np.mean(differences) + 1.96 * np.std(differences, ddof=1),
        ),
        abs=1e-4,
    )
    assert found.quantiles == pytest.approx(tuple(np.quantile(differences, (0.05, 0.5, 0.95))))


def test_where_chance_alone_agrees_there_is_no_kappa() -> None:
    assert agreement(pairs(0, 0, 0, 5)).kappa is None
    assert agreement(pairs(1, 0, 4, 0)).kappa is None
    assert agreement(pairs(0, 0, 0, 1)).limits is None
    with pytest.raises(ValueError, match="no films"):
        agreement([])
