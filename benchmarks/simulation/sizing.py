"""Hosts, disks and connections that a day of films needs, from measured times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from benchmarks.simulation.day import DAY_S, Day
from benchmarks.simulation.samples import TRANSACTIONS, Samples

SERVERS = {"receive": 1, "read": 1, "compose": 1, "deliver": 2}
"""Jobs of each stage that a host runs at a time. Receiving runs about one and a half, as measured."""
HOST_OF = {"receive": "receive", "read": "read", "compose": "deliver", "deliver": "deliver"}
"""The role that runs a stage."""
_LINE_BYTES = 1.25e9
"""Of a line of 10 Gbit/s: chosen, not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """How many hosts of each role, spares included."""

    receive: int
    read: int
    deliver: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.receive + self.read + self.deliver

    def of(self, role: str) -> int:
        """Return how many have a role."""
        return {"receive": self.receive, "read": self.read, "deliver": self.deliver}[role]

    def servers(self) -> dict[str, int]:
        """Return how many films each stage does at a time."""
        return {stage: SERVERS[stage] * self.of(HOST_OF[stage]) for stage in SERVERS}


def mean_s(samples: Samples, stage: str) -> float:
    """Return the mean time of a stage."""
    times = samples.stages_s[stage]
    return sum(times) / len(times)


def hosts(samples: Samples, day: Day, *, busy: float, spare: int) -> Hosts:
    """Return the fewest hosts that are busy for at most `busy` of the busiest moment, and `spare` more of each role."""
    needed = dict.fromkeys(HOST_OF.values(), 1)
    for stage, role in HOST_OF.items():
        servers = ceil(day.mean_rate * day.peak * mean_s(samples, stage) / busy)
        needed[role] = max(needed[role], ceil(servers / SERVERS[stage]))
    return Hosts(**{role: count + spare for role, count in needed.items()})


def is_one_machine(samples: Samples, day: Day, *, busy: float) -> bool:
    """Whether the measured machine suffices alone."""
    return day.mean_rate * day.peak <= busy * samples.saturated


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Capacity of one component in films a day, at the planned peak and busy share."""

    what: str
    films_a_day: float
    then: str


def limits(samples: Samples, *, peak: float, busy: float) -> list[Limit]:
    """Return the limits, lowest first, each with its remedy."""
    a_day = busy * DAY_S / peak
    one = {stage: a_day * SERVERS[stage] / mean_s(samples, stage) for stage in SERVERS}
    a_transaction = TRANSACTIONS / a_day
    all_limits = [
        Limit(
            what="one machine with every role",
            films_a_day=a_day * samples.saturated,
            then="readers on hosts of their own, PostgreSQL, a shared place for films",
        ),
        Limit(what="one reading host", films_a_day=one["read"], then="more reading hosts, or one with a GPU"),
        Limit(what="one composing worker (a host of `deliver`)", films_a_day=one["compose"], then="more of them"),
        Limit(what="two delivering workers (the same host)", films_a_day=one["deliver"], then="more of them"),
        Limit(
            what="one receiving host, one film at a time",
            films_a_day=one["receive"],
            then="more of them, each with the address of some modalities",
        ),
        Limit(
            what="SQLite, transactions of eight processes",
            films_a_day=samples.transactions["sqlite"]["eight workers"] / a_transaction,
            then="PostgreSQL",
        ),
        Limit(
            what="this machine's PostgreSQL, transactions of eight processes",
            films_a_day=samples.transactions["postgresql"]["eight workers"] / a_transaction,
            then="a host of its own with flash storage; then a database for each region of senders",
        ),
        Limit(
            what="a line of 10 Gbit/s, films once in and once out",
            films_a_day=a_day * _LINE_BYTES / (2 * samples.film_bytes),
            then="more receiving hosts and a store of several hosts",
        ),
    ]
    return sorted(all_limits, key=lambda limit: limit.films_a_day)


def needs(samples: Samples, day: Day, hosts_needed: Hosts, *, one_machine: bool) -> Iterator[tuple[str, str]]:
    """Yield the other needs of a day, by name."""
    rate = day.mean_rate * day.peak
    share = rate * TRANSACTIONS / samples.transactions["postgresql"]["eight workers"]
    yield "films/s, mean and busiest", f"{day.mean_rate:.3g}, {rate:.3g}"
    every = (
        "1 with every role" if one_machine else f"{hosts_needed.receive}, {hosts_needed.read}, {hosts_needed.deliver}"
    )
    yield "hosts, one spare of each (receive, read, deliver)", every
    connections = samples.connections * (1 if one_machine else hosts_needed.total)
    yield "connections to PostgreSQL, at most", f"{connections:,}"
    yield "write transactions/s, busiest", _rounded(rate * TRANSACTIONS)
    yield "of what the measured PostgreSQL does", f"{_rounded(100 * share)} %"
    yield "network in, busiest", f"{_rounded(rate * samples.film_bytes / 1e6)} MB/s"
    yield "films kept a day", f"{_rounded(day.films * samples.film_bytes / 1e9)} GB"
    yield "films kept in 30 days", f"{_rounded(30 * day.films * samples.film_bytes / 1e12)} TB"


def _rounded(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.12g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The servers of one of several equal pieces of a plant: rounded up, and `slower` so as to be as busy."""

    servers: int
    slower: float


def pieces(whole: Hosts, into: int) -> Mapping[str, Part]:
    """Return one of `into` equal pieces of a plant, by stage."""
    return {
        stage: Part(servers=ceil(count / into), slower=ceil(count / into) * into / count)
        for stage, count in whole.servers().items()
    }
