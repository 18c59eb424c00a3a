"""Queueing model of a node on any number of hosts: films pass one station after the other."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import simpy

Float64 = npt.NDArray[np.float64]
Service = Callable[[], float]
Turn = simpy.resources.resource.Request
Steps = Generator[simpy.Event, object, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Failure of `servers` of a station from `at_s` to `back_s`; the films in service are interrupted."""

    station: str
    servers: int
    at_s: float
    back_s: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The PACS is unreachable from `begin_s` to `end_s`; a retry succeeds `detection_s` after that."""

    begin_s: float
    end_s: float
    detection_s: float = 0.0


class Station:
    """Servers with a queue, first in first out.

    A film whose server is lost restarts at another one `lease_s` later, after its lease has expired. A film that
    reaches a server while the station is shut releases the server and queues again when the station is open.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        name: str,
        servers: int,
        service: Service,
        lease_s: float = 300.0,
        shut_s: Callable[[float], float] = lambda _now: 0.0,
    ) -> None:
        self.name = name
        self.waits_s: list[float] = []
        self.busy_s = 0.0
        self._env, self._service, self._lease_s, self._shut_s = env, service, lease_s, shut_s
        self._servers = simpy.Resource(env, capacity=servers)
        self._serving: dict[Turn, simpy.Process | None] = {}

    def serve(self) -> Steps:
        """Queue for a server and hold it for the service time."""
        arrived = self._env.now
        while True:
            turn = self._servers.request()
            yield turn
            began = self._env.now
            again_s = self._shut_s(began)
            if again_s:
                self._servers.release(turn)
            else:
                if (yield from self._served(turn)):
                    self.busy_s += self._env.now - began
                    self.waits_s.append(began - arrived)
                    return
                again_s = self._lease_s
            yield self._env.timeout(again_s)

    def _served(self, turn: Turn) -> Generator[simpy.Event, object, bool]:
        """Hold the server for one service time and release it; return False if it was lost meanwhile."""
        self._serving[turn] = self._env.active_process
        try:
            yield self._env.timeout(self._service())
        except simpy.Interrupt:
            return False
        del self._serving[turn]
        self._servers.release(turn)
        return True

    def lose(self, loss: Loss) -> Steps:
        """Remove a server at the time of its loss, a busy one if any is; add it again at `back_s`."""
        yield self._env.timeout(max(0.0, loss.at_s - self._env.now))
        if self._serving:
            request, film = self._serving.popitem()
            if film is not None:
                film.interrupt()
        else:
            request = self._servers.request()
            yield request
        if np.isfinite(loss.back_s):
            yield self._env.timeout(loss.back_s - self._env.now)
            self._servers.release(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Input of the simulation: arrivals, and the stations in order with servers and service times."""

    arrivals: Iterable[float]
    servers: Mapping[str, int]
    services: Mapping[str, Service]
    losses: tuple[Loss, ...] = ()
    outage: Outage | None = None
    delivers: str = "deliver"
    """Name of the station that is shut while the PACS is unreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Times of the films. `arrived_s` and `left_s` are parallel, in the order of arrival."""

    arrived_s: Float64
    left_s: Float64
    waits_s: Mapping[str, Float64] = field(repr=False)
    busy_s: Mapping[str, float]

    @property
    def latencies_s(self) -> Float64:
        """Seconds from a film's arrival to its departure."""
        return self.left_s - self.arrived_s

    def backlog(self, at_s: Float64) -> Float64:
        """Return the number of films in the plant at each time."""
        left = np.sort(self.left_s)
        inside: Float64 = np.searchsorted(self.arrived_s, at_s, "right") - np.searchsorted(left, at_s, "right") * 1.0
        return inside


class LostFilm(Exception):
    """A film arrived and did not leave: the model has an error."""


def run(plan: Plan) -> Outcome:
    """Simulate until the last film has left.

    Raises
    ------
    LostFilm
        If a film does not leave.
    """
    return _Plant(plan).run()


class _Plant:
    """State of the simulation of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._env = simpy.Environment()
        self._stations = {
            name: Station(
                self._env,
                name=name,
                servers=plan.servers[name],
                service=service,
                shut_s=self._outage_s if name == plan.delivers else lambda _now: 0.0,
            )
            for name, service in plan.services.items()
        }
        self._arrived: list[float] = []
        self._left: dict[int, float] = {}

    def run(self) -> Outcome:
        for loss in self._plan.losses:
            for _ in range(loss.servers):
                self._env.process(self._stations[loss.station].lose(loss))
        self._env.process(self._source())
        self._env.run()
        if len(self._left) != len(self._arrived):
            raise LostFilm(f"{len(self._arrived)} films arrived, {len(self._left)} left")
        return Outcome(
            arrived_s=np.array(self._arrived),
            left_s=np.array([self._left[number] for number in range(len(self._arrived))]),
            waits_s={name: np.array(station.waits_s) for name, station in self._stations.items()},
            busy_s={name: station.busy_s for name, station in self._stations.items()},
        )

    def _source(self) -> Steps:
        for number, at in enumerate(self._plan.arrivals):
            yield self._env.timeout(at - self._env.now)
            self._arrived.append(self._env.now)
            self._env.process(self._film(number))

    def _film(self, number: int) -> Steps:
        for station in self._stations.values():
            yield from station.serve()
        self._left[number] = self._env.now

    def _outage_s(self, now: float) -> float:
        outage = self._plan.outage
        if outage is None or not outage.begin_s <= now < outage.end_s + outage.detection_s:
            return 0.0
        return outage.end_s + outage.detection_s - now


def of_samples(samples: Iterable[float], generator: np.random.Generator) -> Service:
    """Return a source of service times, drawn with replacement from measured ones."""
    measured = np.array(list(samples))
    if measured.size == 0 or not np.all(measured > 0):
        raise ValueError("measured service times must be positive, and at least one")

    def draws() -> Generator[float, None, None]:
        while True:
            yield from generator.choice(measured, 4096).tolist()

    endless = draws()
    return lambda: next(endless)
