"""Silent connections in every place for associations, and junk on the port, while a modality sends films."""

import socket
from contextlib import ExitStack, suppress
from random import Random

from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "silent connections in every place, junk on the port"
_PLACES = 16
_FIRST_FILM = 56_000_000
_FILMS = 3
_JUNK_BYTES = 200
_JUNK_TIMEOUT_S = 10.0
_IDLE_TIMEOUT_S = 120.0
_LINES = 200
"""Ten a minute for each address and reason: far fewer than there are connections with junk."""


def run(context: FaultContext) -> GroupResult:
    """Send films beside silent connections and junk: each gets Success, and the log has few lines and no error."""
    group = GroupRun(context, GROUP, first_film=_FIRST_FILM)
    rng, junk = context.rng(GROUP), 2 * context.amounts.idle_peers
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(
            context.node(
                "silent-peers",
                destinations={"pacs": scratch.to_pacs(pacs.port)},
                receive={"maximum_associations": _PLACES},
            )
        )
        node = stack.enter_context(node_process(NodePlan(place=place)))
        with ExitStack() as silent:
            for _ in range(2 * _PLACES):
                silent.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            for _ in range(_FILMS):
                group.store(node.port)
        for number in range(junk):
            context.on_progress("connections with junk", number, junk)
            _send_junk(node.port, rng)
        group.store(node.port)
        group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
        if node.stop() != 0:
            group.problems.append("the node did not stop cleanly")
        ledger = group.check_ledger(place, pacs)
    lines = place.log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(" ERROR " in line for line in lines) or len(lines) > _LINES:
        group.problems.append(f"the log has errors, or more than {_LINES} lines: {len(lines)}")
    notes = (f"{2 * _PLACES} silent connections, {junk} with junk, {len(lines)} lines in the log",)
    return group.result(ledger, faults=2 * _PLACES + junk, notes=notes)


def _send_junk(port: int, rng: Random) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection, suppress(OSError):
        connection.settimeout(_JUNK_TIMEOUT_S)
        connection.sendall(rng.randbytes(rng.randint(1, _JUNK_BYTES)))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 12):
            pass
