"""The tests of two samples, held against SciPy's."""

from collections import Counter

import pytest
from scipy import stats

from benchmarks.drift import seeded
from cxr_node.monitoring.statistics import fisher, holm, kolmogorov_smirnov


@pytest.mark.parametrize("shift", [0, 3, 20])
@pytest.mark.parametrize("sizes", [(50, 80), (1000, 400)])
def test_kolmogorov_smirnov_is_scipys(sizes: tuple[int, int], shift: int) -> None:
    chance = seeded(1)
    one = [chance.randrange(200) for _ in range(sizes[0])]
    other = [chance.randrange(200) + shift for _ in range(sizes[1])]

    difference, p_value = kolmogorov_smirnov(Counter(one), Counter(other))

    known = stats.ks_2samp(one, other, method="exact")
    assert difference == pytest.approx(known.statistic)
    assert p_value == pytest.approx(known.pvalue, rel=0.15, abs=0.02)


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="nothing"):
        kolmogorov_smirnov({}, {1: 1})


@pytest.mark.parametrize(
    "counts", [(1, 60, 9, 70), (0, 50, 0, 50), (50, 50, 3, 60), (300, 1000, 120, 300), (5, 55, 40, 900)]
)
def test_fishers_test_is_scipys(counts: tuple[int, int, int, int]) -> None:
    hits, films, hits_other, films_other = counts
    table = [[hits, films - hits], [hits_other, films_other - hits_other]]

    assert fisher(*counts) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def test_holm_multiplies_the_least_by_their_number_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
