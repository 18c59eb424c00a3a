"""Hosts, disks and connections for a day of films, from measured times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from benchmarks.simulation.day import DAY_S, Day
from benchmarks.simulation.samples import TRANSACTIONS, Samples

SERVERS = {"receive": 1, "read": 1, "compose": 1, "deliver": 2}
"""Concurrent jobs of each stage per host. Receiving measured about 1.5."""
HOST_OF = {"receive": "receive", "read": "read", "compose": "deliver", "deliver": "deliver"}
"""Role of each stage."""
_LINE_BYTES = 1.25e9
"""Bytes/s of a line of 10 Gbit/s: assumed, not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Number of hosts of each role, spares included."""

    receive: int
    read: int
    deliver: int

    @property
    def total(self) -> int:
        """Number of all hosts."""
        return self.receive + self.read + self.deliver

    def of(self, role: str) -> int:
        """Return the number of hosts of a role."""
        return {"receive": self.receive, "read": self.read, "deliver": self.deliver}[role]

    def servers(self) -> dict[str, int]:
        """Return the concurrent jobs of each stage."""
        return {stage: SERVERS[stage] * self.of(HOST_OF[stage]) for stage in SERVERS}


def mean_s(samples: Samples, stage: str) -> float:
    """Return the mean seconds of a stage."""
    times = samples.stages_s[stage]
    return sum(times) / len(times)


def hosts(samples: Samples, day: Day, *, busy: float, spare: int) -> Hosts:
    """Return the fewest hosts with a utilisation of at most `busy` at the peak, and `spare` more of each role."""
    needed = dict.fromkeys(HOST_OF.values(), 1)
    for stage, role in HOST_OF.items():
        servers = ceil(day.mean_rate * day.peak * mean_s(samples, stage) / busy)
        needed[role] = max(needed[role], ceil(servers / SERVERS[stage]))
    return Hosts(**{role: count + spare for role, count in needed.items()})


def is_one_machine(samples: Samples, day: Day, *, busy: float) -> bool:
    """Whether one machine like the measured one is enough."""
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
            then="separate reading hosts, PostgreSQL, a shared archive",
        ),
        Limit(what="one reading host", films_a_day=one["read"], then="more reading hosts, or one with a GPU"),
        Limit(what="one composing worker (a host of `deliver`)", films_a_day=one["compose"], then="more of them"),
        Limit(what="two delivering workers (the same host)", films_a_day=one["deliver"], then="more of them"),
        Limit(
            what="one receiving host, one film at a time",
            films_a_day=one["receive"],
            then="more of them, each with its own modalities",
        ),
        Limit(
            what="SQLite, transactions of eight processes",
            films_a_day=samples.transactions["sqlite"]["eight workers"] / a_transaction,
            then="PostgreSQL",
        ),
        Limit(
            what="PostgreSQL of the measured machine, transactions of eight processes",
            films_a_day=samples.transactions["postgresql"]["eight workers"] / a_transaction,
            then="a separate host with flash storage; then a database per region of senders",
        ),
        Limit(
            what="a line of 10 Gbit/s, each film in and out once",
            films_a_day=a_day * _LINE_BYTES / (2 * samples.film_bytes),
            then="more receiving hosts and a distributed object store",
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
    yield "hosts with one spare per role (receive, read, deliver)", every
    connections = samples.connections * (1 if one_machine else hosts_needed.total)
    yield "connections to PostgreSQL, at most", f"{connections:,}"
    yield "write transactions/s, busiest", _rounded(rate * TRANSACTIONS)
    yield "share of the measured PostgreSQL's rate", f"{_rounded(100 * share)} %"
    yield "network in, busiest", f"{_rounded(rate * samples.film_bytes / 1e6)} MB/s"
    yield "archive growth a day", f"{_rounded(day.films * samples.film_bytes / 1e9)} GB"
    yield "archive of 30 days", f"{_rounded(30 * day.films * samples.film_bytes / 1e12)} TB"


def _rounded(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.12g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Servers of one of several equal pieces of a plant: rounded up, and `slower` for the same utilisation."""

    servers: int
    slower: float


def pieces(whole: Hosts, into: int) -> Mapping[str, Part]:
    """Return one of `into` equal pieces of a plant, by stage."""
    return {
        stage: Part(servers=ceil(count / into), slower=ceil(count / into) * into / count)
        for stage, count in whole.servers().items()
    }
