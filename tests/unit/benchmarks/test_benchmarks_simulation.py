"""Simulation against queueing theory (M/M/1, M/D/1, M/M/c, Little's law); no film may be lost."""

from collections.abc import Iterator
from math import factorial

import numpy as np
import pytest

from benchmarks.simulation.day import DAY_S, Day
from benchmarks.simulation.plant import Float64, Loss, Outage, Plan, Service, of_samples, run

FILMS = 15_000
RATE = 1.0


def poisson(generator: np.random.Generator, films: int = FILMS) -> Iterator[float]:
    return iter(np.cumsum(generator.exponential(1 / RATE, films)).tolist())


def exponential(generator: np.random.Generator, mean_s: float) -> Service:
    return lambda: float(generator.exponential(mean_s))


def waits(service: Service, *, servers: int, generator: np.random.Generator) -> Float64:
    plan = Plan(arrivals=poisson(generator), servers={"read": servers}, services={"read": service})
    return run(plan).waits_s["read"]


def interval(values: Float64) -> tuple[float, float]:
    """Return the mean and four standard errors, by the means of fifty batches because neighbours correlate."""
    batches = values[: len(values) // 50 * 50].reshape(50, -1).mean(axis=1)
    return float(batches.mean()), 4 * float(batches.std(ddof=1)) / 50**0.5


def erlang_c(servers: int, load: float) -> float:
    """Return the share of films that wait (M/M/c)."""
    last = load**servers / factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / factorial(k) for k in range(servers)) + last)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_waits_at_one_server_with_exponential_times_follow_m_m_1(load: float) -> None:
    generator = np.random.default_rng(1)
    mean, error = interval(waits(exponential(generator, load / RATE), servers=1, generator=generator))

    assert error < 0.4 * mean, "too few films"
    assert abs(mean - load / RATE * load / (1 - load)) < error


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_waits_at_one_server_with_constant_times_are_half_as_long(load: float) -> None:
    generator = np.random.default_rng(2)
    mean, error = interval(waits(lambda: load / RATE, servers=1, generator=generator))

    assert error < 0.4 * mean
    assert abs(mean - load / RATE * load / (2 * (1 - load))) < error


@pytest.mark.slow
def test_waits_at_three_servers_follow_erlang_c() -> None:
    generator = np.random.default_rng(3)
    waits_s = waits(exponential(generator, 2.4 / RATE), servers=3, generator=generator)
    mean, error = interval(waits_s)

    assert abs(mean - erlang_c(3, 2.4) * 2.4 / (3 - 2.4)) < error
    share, share_error = interval((waits_s > 0).astype(float))
    assert abs(share - erlang_c(3, 2.4)) < share_error < 0.15


@pytest.mark.slow
def test_the_backlog_is_the_arrival_rate_times_the_latency() -> None:
    generator = np.random.default_rng(4)
    services = {"read": exponential(generator, 0.5), "deliver": exponential(generator, 0.3)}
    outcome = run(Plan(arrivals=poisson(generator, 8_000), servers={"read": 1, "deliver": 1}, services=services))
    at = np.linspace(0, outcome.arrived_s[-1], 50_000)

    # Little's law; approximate because of the first and last films.
    rate = len(outcome.arrived_s) / outcome.arrived_s[-1]
    assert outcome.backlog(at).mean() == pytest.approx(rate * outcome.latencies_s.mean(), rel=0.02)


def test_a_film_of_a_lost_server_restarts_after_its_lease() -> None:
    plan = Plan(
        arrivals=iter([0.0, 1.0]),
        servers={"read": 2},
        services={"read": lambda: 10.0},
        losses=(Loss(station="read", servers=1, at_s=5.0),),
    )
    outcome = run(plan)

    assert sorted(outcome.left_s) in ([10.0, 315.0], [11.0, 315.0])


@pytest.mark.slow
def test_no_film_is_lost_with_lost_servers_and_an_unreachable_pacs() -> None:
    generator = np.random.default_rng(5)
    services = {name: exponential(generator, 0.4) for name in ("read", "deliver")}
    outcome = run(
        Plan(
            arrivals=poisson(generator, 5_000),
            servers={"read": 3, "deliver": 2},
            services=services,
            losses=(
                Loss(station="read", servers=3, at_s=500.0, back_s=900.0),
                Loss(station="deliver", servers=1, at_s=100.0),
            ),
            outage=Outage(begin_s=1_000.0, end_s=2_000.0, detection_s=30.0),
        )
    )

    assert len(outcome.left_s) == len(outcome.arrived_s) == 5_000
    assert np.all(outcome.latencies_s > 0)
    assert not np.any((outcome.left_s > 1_010.0) & (outcome.left_s < 2_030.0)), "no film leaves meanwhile"


@pytest.mark.slow
def test_a_day_has_its_films_and_its_peak_rate() -> None:
    day = Day(films=20_000, peak=3.0)
    arrived_s = np.array(list(day.arrivals(np.random.default_rng(6), begin_s=0.0, end_s=DAY_S)))

    assert len(arrived_s) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    assert day.rate(11 * 3600) == pytest.approx(3 * day.mean_rate)
    busiest = np.sum((arrived_s > 10.5 * 3600) & (arrived_s < 11.5 * 3600))
    assert busiest == pytest.approx(3 * 20_000 / 24, rel=0.08)


def test_an_empty_list_of_times_is_rejected() -> None:
    with pytest.raises(ValueError, match="measured"):
        of_samples([], np.random.default_rng(1))


def test_drawn_times_are_measured_times() -> None:
    draw = of_samples([0.25, 0.5], np.random.default_rng(1))

    assert {draw() for _ in range(100)} == {0.25, 0.5}
