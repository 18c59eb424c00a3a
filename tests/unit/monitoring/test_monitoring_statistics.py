"""Two-sample tests against SciPy's."""

from collections import Counter

import pytest

from benchmarks.drift import seeded
from cxr_node.monitoring.statistics import fisher_exact, holm_correction, ks_two_sample


@pytest.mark.parametrize("shift", [0, 3, 20])
@pytest.mark.parametrize("sizes", [(50, 80), (1000, 400)])
def test_kolmogorov_smirnov_is_scipys(sizes: tuple[int, int], shift: int) -> None:
    from scipy import stats  # a second of each process that collects tests

    chance = seeded(1)
    one = [chance.randrange(200) for _ in range(sizes[0])]
    other = [chance.randrange(200) + shift for _ in range(sizes[1])]

    statistic, p_value = ks_two_sample(Counter(one), Counter(other))

    expected = stats.ks_2samp(one, other, method="exact")
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, rel=0.15, abs=0.02)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        ks_two_sample({}, {1: 1})


@pytest.mark.parametrize(
    "counts", [(1, 60, 9, 70), (0, 50, 0, 50), (50, 50, 3, 60), (300, 1000, 120, 300), (5, 55, 40, 900)]
)
def test_fishers_test_is_scipys(counts: tuple[int, int, int, int]) -> None:
    from scipy import stats

    hits, films, hits_other, films_other = counts
    table = [[hits, films - hits], [hits_other, films_other - hits_other]]

    assert fisher_exact(*counts) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def test_holm_correction_scales_by_rank_and_is_monotonic() -> None:
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_correction([0.5, 0.9]) == [1.0, 1.0]
    assert holm_correction([]) == []
