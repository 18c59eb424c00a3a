"""Sizing: hosts, disks and connections from measured stage times and a simulated day of films.

    python -m benchmarks.end_to_end --json measured.json          # measure on the machine of the plan
    python -m benchmarks.simulate --measured measured.json --transactions --pictures docs/pictures
    python -m benchmarks.simulate --films 5000 --peak 4           # another day

Service times are drawn from the measurements (by default `benchmarks/measured.json`, with their place and date).
Assumptions, not measurements: the shape of a day (one peak at 11 o'clock, --peak times the mean), the utilisation of a
host at the peak (--busy), one spare host per role, and the failures. Each film is its own study. A host runs one job of
each stage at a time (two of delivery). A day of more than 100,000 films is simulated in equal pieces, of which one is
shown. Its servers are rounded up and slowed down in proportion, so films wait longer than in the whole plant. A failed
host fails in each piece. Each piece has at least four reading hosts, or one failure would stop reading.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.load import charts
from benchmarks.load.tables import markdown
from benchmarks.simulation import sizing
from benchmarks.simulation.day import DAY_S, Day
from benchmarks.simulation.plant import Loss, Outage, Outcome, Plan, of_samples, run
from benchmarks.simulation.samples import STAGES, Samples, add_transactions

_HOUR_S = 3600.0
_MINUTE_S = 60.0
_LARGEST = 100_000
"""Films of the largest day that is simulated whole."""
_FEWEST_READERS = 4
"""Least number of reading hosts in a piece."""
_PROBE_S = 60.0
"""An unreachable destination is retried at least once a minute (cxr_node/deliver/circuit_breaker.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A day with or without a failure."""

    name: str
    outage: Outage | None = None
    losses: tuple[Loss, ...] = ()
    spare: int = 1


def scenarios(busiest: Day) -> Sequence[Scenario]:
    """Return the scenarios of a day: no failure, PACS unreachable, reading host lost with and without spares."""
    noon = busiest.busiest_hour * _HOUR_S
    # The host is back at midnight. A node with one reading host reads nothing until then.
    dead = (Loss(station="read", servers=1, at_s=noon, back_s=DAY_S),)
    return (
        Scenario(name="nothing happens"),
        Scenario(
            name="the PACS is away from 10 to 12",
            outage=Outage(begin_s=noon - _HOUR_S, end_s=noon + _HOUR_S, detection_s=_PROBE_S),
        ),
        Scenario(name="a reading host dies at 11, with a spare", losses=dead),
        Scenario(name="no spares, a reading host dies at 11", losses=dead, spare=0),
    )


def simulate(samples: Samples, day: Day, scenario: Scenario, *, busy: float, seed: int) -> Outcome:
    """Simulate a day, or an equal piece of it."""
    plant = sizing.hosts(samples, day, busy=busy, spare=scenario.spare)
    into = max(1, min(round(day.films / _LARGEST), plant.servers()["read"] // _FEWEST_READERS))
    piece = Day(films=day.films / into, peak=day.peak, busiest_hour=day.busiest_hour)
    parts = sizing.pieces(plant, into)
    # The films of all scenarios of a seed arrive at the same times.
    coming, serving = (np.random.default_rng([seed, which]) for which in range(2))
    plan = Plan(
        arrivals=piece.arrivals(coming, begin_s=0.0, end_s=DAY_S),
        servers={stage: part.servers for stage, part in parts.items()},
        services={
            stage: of_samples([time_s * parts[stage].slower for time_s in samples.stages_s[stage]], serving)
            for stage in STAGES
        },
        losses=scenario.losses,
        outage=scenario.outage,
    )
    return run(plan)


def stages(samples: Samples) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the measured stage times."""
    for stage in STAGES:
        times = np.array(samples.stages_s[stage])
        p50, p99 = np.quantile(times, (0.5, 0.99))
        yield stage, str(times.size), f"{times.mean():.3f}", f"{p50:.3f}", f"{p99:.3f}"


def outcome_row(day: Day, scenario: Scenario, outcome: Outcome) -> tuple[str, ...]:
    """Return a row of the table of scenarios."""
    latencies = outcome.latencies_s
    p50, p99, most = np.quantile(latencies, (0.5, 0.99, 1.0))
    at = np.arange(0.0, DAY_S, _MINUTE_S)
    backlog = outcome.backlog(at)
    return (
        f"{day.films:,.0f}",
        scenario.name,
        f"{len(latencies):,}",
        *map(_lasting, (p50, p99, most)),
        f"{backlog.max():,.0f}",
    )


def _lasting(seconds: float) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.3g} s"
    return f"{seconds / _MINUTE_S:.3g} min" if seconds < 2 * _HOUR_S else f"{seconds / _HOUR_S:.3g} h"


def drawn(outcomes: Sequence[tuple[Scenario, Outcome]], day: Day, folder: Path) -> Path:
    """Draw the backlog of the node over the day, a line per scenario."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = charts.drawn()
    axes = figure.add_subplot()
    at = np.arange(6 * _HOUR_S, 20 * _HOUR_S, _MINUTE_S)
    for (scenario, outcome), color in zip(outcomes, charts.COLORS, strict=False):
        axes.plot(at / _HOUR_S, outcome.backlog(at), color=color, label=scenario.name, linewidth=1.3)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hour of the day")
    axes.set_ylabel("films in the node")
    axes.set_title(f"{day.films:,.0f} films a day, simulated with measured times")
    axes.legend(frameon=False, fontsize=8)
    path = folder / f"scale-{day.films:.0f}.png"
    charts.saved(figure, path)
    return path


def main() -> None:
    """Print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=Path(__file__).parent / "measured.json")
    parser.add_argument(
        "--transactions", action="store_true", help="measure the databases first; add the rates to --measured"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--films", nargs="+", type=int, default=[1_000, 100_000, 10_000_000], help="films a day")
    parser.add_argument("--peak", type=float, default=3.0, help="peak rate by the mean rate of the day")
    parser.add_argument("--busy", type=float, default=0.7, help="utilisation of a host at the peak, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", type=Path, help="folder for pictures")
    arguments = parser.parse_args()
    if arguments.transactions:
        add_transactions(arguments.measured)
    samples = Samples.read(arguments.measured, arguments.database)
    days = [Day(films=films, peak=arguments.peak) for films in arguments.films]
    print(f"Measured on {samples.machine}, {samples.cores} cores, {samples.at}, {arguments.database}.\n")
    _print(("stage", "films", "mean s", "p50 s", "p99 s"), stages(samples))
    _print(("films a day", *(f"{day.films:,.0f}" for day in days)), _sizes(samples, days, arguments.busy))
    limits = sizing.limits(samples, peak=arguments.peak, busy=arguments.busy)
    _print(
        ("component", "films a day, at most", "remedy"),
        ((limit.what, f"{limit.films_a_day:,.0f}", limit.then) for limit in limits),
    )

    def scenario_rows() -> Iterator[tuple[str, ...]]:
        for day in days:
            outcomes = []
            for scenario in scenarios(day):
                outcome = simulate(samples, day, scenario, busy=arguments.busy, seed=arguments.seed)
                outcomes.append((scenario, outcome))
                yield outcome_row(day, scenario, outcome)
            if arguments.pictures is not None:
                drawn(outcomes, day, arguments.pictures)

    _print(("films a day", "scenario", "simulated", "p50", "p99", "most", "films in the node at most"), scenario_rows())


def _sizes(samples: Samples, days: Sequence[Day], busy: float) -> Iterator[tuple[str, ...]]:
    columns = []
    for day in days:
        hosts = sizing.hosts(samples, day, busy=busy, spare=1)
        one = sizing.is_one_machine(samples, day, busy=busy)
        columns.append(list(sizing.needs(samples, day, hosts, one_machine=one)))
    for line in zip(*columns, strict=True):
        yield line[0][0], *(cell[1] for cell in line)


def _print(headings: Sequence[str], lines: Iterator[Sequence[str]]) -> None:
    for line in markdown(headings, lines):
        print(line, flush=True)
    print()


if __name__ == "__main__":
    main()
