"""Switch between the remote reader and its fallback: when films wait, who reads them, and when the server is probed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from cxr_node.config import load
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import Held
from cxr_node.domain.reasons import Reason
from cxr_node.faults.load import send
from cxr_node.faults.scratch import ScratchNode, create_node, to_folder
from cxr_node.infer.remote.client import RemoteServer
from cxr_node.infer.remote.outcome import RemoteTrouble
from cxr_node.infer.remote.reader import RemoteReader
from cxr_node.reading.network import Network, NetworkThread
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.http_handler import RETRY_AFTER_S
from cxr_node.simulators.inference_server import Mode, SimulatedInferenceServer, Tensor
from cxr_node.simulators.node import wired_node
from tests.support import films, remote
from tests.support.node import StubNetwork

FILM = np.full((32, 32), 0.5, np.float32)


class LocalNetwork(StubNetwork):
    """A network on this host."""

    identity = RemoteReader(remote.card(), remote.model(), RemoteServer(url="http://127.0.0.1:1")).identity


@pytest.fixture
def simulated() -> Iterator[SimulatedInferenceServer]:
    with SimulatedInferenceServer(remote.compute) as server:
        yield server


def switch_of(
    simulated: SimulatedInferenceServer,
    clock: SimulatedClock,
    *,
    local: LocalNetwork | None = None,
    changes: list[RemoteTrouble | None] | None = None,
) -> RemoteSwitch:
    """Return a switch that notes its changes."""
    changes = [] if changes is None else changes
    reader = RemoteReader(remote.card(), remote.model(), remote.server_of(simulated, timeout_s=2.0))
    return RemoteSwitch(reader, local=local, clock=clock, on_change=changes.append)


def test_a_film_whose_request_fails_is_held_and_read_after_a_probe(simulated: SimulatedInferenceServer) -> None:
    clock, changes = SimulatedClock(), list[RemoteTrouble | None]()
    switch = switch_of(simulated, clock, changes=changes)
    simulated.mode = Mode.STATUS_500

    with pytest.raises(Held, match=r"films wait for it: .* HTTP status 500") as held:
        switch.select().forward([FILM])
    assert held.value.due_at == clock.now + timedelta(seconds=5) == switch.held_until()
    with pytest.raises(Held):
        switch.select()
    simulated.mode = Mode.RIGHT
    with pytest.raises(Held):
        switch.select()
    clock.advance(seconds=5)
    assert len(switch.select().forward([FILM])) == 1

    assert switch.held_until() is None
    assert [change is None for change in changes] == [False, True]
    assert simulated.requests == {Mode.STATUS_500: 1, Mode.RIGHT: 2}


def test_a_probe_that_fails_doubles_the_wait(simulated: SimulatedInferenceServer) -> None:
    clock = SimulatedClock()
    switch = switch_of(simulated, clock)
    simulated.mode = Mode.WRONG_VERSION
    with pytest.raises(Held):
        switch.select().forward([FILM])
    clock.advance(seconds=5)

    with pytest.raises(Held, match="version '4'") as held:
        switch.select()

    assert held.value.due_at == clock.now + timedelta(seconds=10)


def test_films_that_fail_side_by_side_count_once(simulated: SimulatedInferenceServer) -> None:
    clock = SimulatedClock()
    switch = switch_of(simulated, clock)
    networks = [switch.select() for _ in range(4)]
    simulated.mode = Mode.CLOSES

    for network in networks:
        with pytest.raises(Held) as held:
            network.forward([FILM])
        assert held.value.due_at == clock.now + timedelta(seconds=5)


def test_the_server_says_when_it_may_be_tried_again(simulated: SimulatedInferenceServer) -> None:
    clock = SimulatedClock()
    switch = switch_of(simulated, clock)
    simulated.mode = Mode.STATUS_503

    with pytest.raises(Held) as held:
        switch.select().forward([FILM])

    assert held.value.due_at == clock.now + timedelta(seconds=RETRY_AFTER_S)


def test_the_fallback_reads_while_the_server_is_away(simulated: SimulatedInferenceServer) -> None:
    clock, local = SimulatedClock(), LocalNetwork()
    switch = switch_of(simulated, clock, local=local)
    simulated.mode = Mode.NOT_JSON

    with pytest.raises(Held, match="the local bundle reads in its place") as held:
        switch.select().forward([FILM])

    assert held.value.due_at == clock.now
    assert switch.held_until() is None
    assert switch.select() is local
    simulated.mode = Mode.RIGHT
    clock.advance(seconds=5)
    assert switch.select() is not local


def test_a_server_that_is_away_at_the_start_is_no_error(simulated: SimulatedInferenceServer) -> None:
    clock = SimulatedClock()
    switch = switch_of(simulated, clock)
    simulated.stop()

    switch.warm_up()

    assert switch.trouble is not None
    assert "is unreachable" in switch.trouble.message
    simulated.start()
    clock.advance(seconds=5)
    assert len(switch.select().forward([FILM])) == 1


def test_the_network_thread_runs_local_networks_only(simulated: SimulatedInferenceServer) -> None:
    watched = []

    def watchdog() -> object:
        watched.append(True)
        raise AssertionError("the watchdog ends the process of a slow server")

    switch = switch_of(simulated, SimulatedClock())
    network: Network = NetworkThread(switch.select, watchdog=watchdog).network()  # type: ignore[arg-type]  # never called

    assert len(network.forward([FILM])) == 1
    assert not watched


def node_of(folder: Path, simulated: SimulatedInferenceServer, **section: object) -> ScratchNode:
    """Return the settings of a node with a remote reader."""
    return create_node(
        folder,
        destinations={"share": to_folder(folder / "share")},
        sections={"read": {"kind": "remote"}, "remote": {"url": simulated.url, **section}},
    )


def test_a_film_waits_without_attempts_and_is_given_up_after_hold_s(
    tmp_path: Path, simulated: SimulatedInferenceServer
) -> None:
    settings = load(node_of(tmp_path / "node", simulated, hold_s=900.0).config)
    clock = SimulatedClock(step=timedelta(milliseconds=1))
    switch = switch_of(simulated, clock)
    simulated.stop()
    with wired_node(settings, network=switch.select, held_until=switch.held_until, clock=clock) as node:
        assert send(films.dx(rows=300, columns=280), node.port) == 0
        node.pass_time(timedelta(minutes=10))
        (waiting,) = node.jobs(Stage.READ)
        claims_and_failures = node.turns
        node.pass_time(timedelta(minutes=10))
        (ended,) = node.jobs(Stage.READ)

    assert (waiting.state, waiting.attempts) == (State.WAITING, 0)
    assert "films wait for it" in str(waiting.detail)
    assert claims_and_failures < 20
    assert (ended.state, ended.reason) == (State.NOT_ANALYSED, Reason.MODEL_ERROR)
    assert list((tmp_path / "node" / "share").iterdir())


def dark(film: Tensor) -> int:
    """Return the status of a server that refuses every film but a black one."""
    return 422 if film.any() else 200


def test_a_film_that_the_server_refuses_holds_up_no_other(tmp_path: Path, simulated: SimulatedInferenceServer) -> None:
    settings = load(node_of(tmp_path / "node", simulated).config)
    clock = SimulatedClock(step=timedelta(milliseconds=1))
    switch = switch_of(simulated, clock)
    with wired_node(settings, network=switch.select, held_until=switch.held_until, clock=clock) as node:
        simulated.film_status = dark
        assert send(films.dx(rows=300, columns=280), node.port) == 0
        node.run_due()
        simulated.film_status = lambda _film: 200
        assert send(films.dx(rows=300, columns=280, seed=1), node.port) == 0
        node.run_due()
        states = [(job.state, job.reason) for job in node.jobs(Stage.READ)]

    assert states == [(State.NOT_ANALYSED, Reason.MODEL_ERROR), (State.DONE, None)]
