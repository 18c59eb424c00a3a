"""How many examples a property gets: a few in each run, and thousands in the long suite."""

import pytest


def counts(short: int, long: int) -> pytest.MarkDecorator:
    """Parametrize `examples` with a short number and a long one, which only the long suite runs."""
    return pytest.mark.parametrize("examples", [short, pytest.param(long, marks=pytest.mark.long)])
