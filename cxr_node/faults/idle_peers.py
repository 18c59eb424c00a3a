"""Idle peers: half-open TLS handshakes and idle associations while a modality sends films."""

import ssl
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cxr_node.faults import certificates, scratch, wire
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "half-open handshakes and idle associations"
_LIMIT = 3.0
"""Upper limit of p99 of the time per film, with idle peers over without."""
_FILMS_FOR_P99 = 50
"""Fewer films a round give no 99th percentile: one pause of the machine would decide it."""
_HELLO = b"\x16\x03\x01\x02"
"""The first bytes of a ClientHello."""
_IDLE_TIMEOUT_S = 120.0


def run(context: FaultContext) -> GroupResult:
    """Measure a modality with and without idle peers in several rounds; check the ledger."""
    if not certificates.can_create():
        return GroupResult(group=GROUP, database=context.kind, skipped="no openssl on this machine")
    group = GroupRun(context, GROUP)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        context.folder.mkdir(parents=True, exist_ok=True)
        files = certificates.create(context.folder)
        idle_count = context.amounts.idle_peers
        receive = {
            "tls_certificate": str(files["certificate"]),
            "tls_key": str(files["key"]),
            "maximum_associations": idle_count + 50,
            "tls_handshake_timeout_s": 300.0,
        }
        destinations = {"pacs": scratch.to_pacs(pacs.port)}
        place = stack.enter_context(context.node("idle-peers", destinations=destinations, receive=receive))
        tls = ssl.create_default_context(cafile=str(files["certificate"]))
        node = stack.enter_context(node_process(NodePlan(place=place)))
        _measure(group, node.port, tls)  # warm-up
        ratios: list[float] = []
        medians: list[tuple[float, float]] = []
        for number in range(context.amounts.rounds):
            context.on_progress("rounds with idle peers", number, context.amounts.rounds)
            alone = _measure(group, node.port, tls)
            with _idle_peers(node.port, tls, idle_count, context.films.make(0).SOPClassUID, group.problems):
                with_idle = _measure(group, node.port, tls)
            ratios.append(_p99(with_idle) / _p99(alone))
            medians.append((statistics.median(alone), statistics.median(with_idle)))
        group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
        node.stop()
        ledger = group.check_ledger(place, pacs)
    ratio = statistics.median(ratios)
    if context.amounts.films_per_round >= _FILMS_FOR_P99 and ratio > _LIMIT:
        group.problems.append(f"p99 grew {ratio:.2f}-fold")
    alone_ms, with_idle_ms = (1000 * statistics.median(column) for column in zip(*medians, strict=True))
    notes = (
        f"p99 with {idle_count} half-open handshakes and as many idle associations over p99 without: {ratio:.2f}",
        f"median of the rounds: {', '.join(f'{round_ratio:.2f}' for round_ratio in ratios)}",
        f"from connect to release: median {alone_ms:.0f} ms without, {with_idle_ms:.0f} ms with them",
    )
    return group.result(ledger, faults=2 * idle_count * context.amounts.rounds, notes=notes)


def _measure(group: GroupRun, port: int, tls: ssl.SSLContext) -> list[float]:
    """Send films, each on an association of its own; return the seconds of each."""
    durations: list[float] = []
    for _ in range(group.context.amounts.films_per_round):
        message = wire.message(group.context.films.make(50_000_000 + len(group.promised)))
        began = time.perf_counter()
        with wire.connected(port, tls=tls) as modality:
            stored = modality.associate(message.sop_class_uid) and modality.store(message) == 0
            modality.release()
        durations.append(time.perf_counter() - began)
        if stored:
            group.promised[message.study_instance_uid] = message.sop_instance_uid
        else:
            group.problems.append("a film got no Success")
    return durations


@contextmanager
def _idle_peers(port: int, tls: ssl.SSLContext, count: int, sop_class_uid: str, problems: list[str]) -> Iterator[None]:
    """Hold `count` handshakes half open and `count` associations idle while the block lasts."""
    with ExitStack() as stack:
        for number in range(count):
            half_open = stack.enter_context(wire.connected(port))
            if number % 2:
                half_open.send(_HELLO)
        for _ in range(count):
            idle = stack.enter_context(wire.connected(port, tls=tls))
            if not idle.associate(sop_class_uid):
                problems.append("the association of an idle peer was rejected")
        yield


def _p99(durations: list[float]) -> float:
    return sorted(durations)[int(0.99 * (len(durations) - 1))]
