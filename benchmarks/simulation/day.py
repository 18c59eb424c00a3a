"""Arrivals of films: Poisson process whose rate follows the time of day, with one peak."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import cos, exp, pi

import numpy as np

DAY_S = 86_400.0
_LARGEST_CONCENTRATION = 500.0


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of `films` films on average, with `peak` times the mean rate at `busiest_hour`.

    The rate is a von Mises distribution over 24 h: one peak, low rates at night, no further parameter. `peak` 1 is a
    constant rate.
    """

    films: float
    peak: float
    busiest_hour: float = 11.0

    @property
    def mean_rate(self) -> float:
        """Films a second over the whole day."""
        return self.films / DAY_S

    @cached_property
    def concentration(self) -> float:
        """The k for which exp(k) / I0(k), the highest density over the mean, is `peak`; by bisection."""
        low, high = 0.0, _LARGEST_CONCENTRATION
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if exp(middle) / float(np.i0(middle)) < self.peak else (low, middle)
        return (low + high) / 2

    @cached_property
    def _mean_density(self) -> float:
        return float(np.i0(self.concentration))

    def rate(self, at_s: float) -> float:
        """Return films/s at a time of the day, in seconds since midnight."""
        angle = 2 * pi * (at_s - self.busiest_hour * 3600) / DAY_S
        return self.mean_rate * exp(self.concentration * cos(angle)) / self._mean_density

    def arrivals(self, generator: np.random.Generator, *, begin_s: float, end_s: float) -> Iterator[float]:
        """Yield arrival times in seconds, by thinning a process of the highest rate (Lewis and Shedler 1979)."""
        highest = self.mean_rate * self.peak * (1 + 1e-9)
        at = begin_s + generator.exponential(1 / highest)
        while at < end_s:
            if generator.random() * highest < self.rate(at):
                yield at
            at += generator.exponential(1 / highest)
