"""How many examples a property gets: a few in each run, and thousands in the long suite."""

import pytest

_LONG_S = 3600
"""Upper bound for a busy machine."""


def counts(short: int, long: int) -> pytest.MarkDecorator:
    """Parametrize `examples` with a short number and a long one, which only the long suite runs."""
    marks = (pytest.mark.long, pytest.mark.timeout(_LONG_S))
    return pytest.mark.parametrize("examples", [short, pytest.param(long, marks=marks)])
