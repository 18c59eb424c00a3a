"""Peers that hold or load the receiver in the ways of an attack, while a known peer sends films.

Each film of the known peer gets Success, and its median time during an attack is below twice that without, in rounds
next to each other. The receiver runs as the installed program, which finishes the films afterwards.
"""

import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

from cxr_node.domain.password_hash import PasswordHash
from cxr_node.faults import attackers, certificates, scratch, wire
from cxr_node.faults.attackers import Target
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import MODALITY_TITLE, ScratchNode
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import Program

KNOWN, ANY = "attacks beside a known peer with TLS and password", "attacks beside a peer, all admitted"
Attack = Callable[[Target], AbstractContextManager[None]]

_LIMIT = 2.0
"""Upper limit of the median time of a film, during an attack over without."""
_FILMS_FOR_MEDIAN = 10
"""Fewer films a round give no median: one pause of the machine would decide it."""
_PLACES = 16
_CONNECTIONS = 2 * (_PLACES + 64)
"""Twice as many as the receiver has places for connections."""
_START_S = 600.0
_IDLE_TIMEOUT_S = 600.0
_LARGE_BYTES = 8 << 20

KNOWN_PEER: Mapping[str, Attack] = {
    "silent connections in every place": attackers.silent,
    "connections with junk": attackers.junk,
    "thirty peers that guess passwords": attackers.guesses,
}
ANY_PEER: Mapping[str, Attack] = {
    "storage commitment of every film again and again": attackers.commitment,
    "films with a million sequences within each other": attackers.sequences,
    "films with 100,000 elements in front of their UIDs": attackers.elements,
}


def known_peer(context: FaultContext) -> GroupResult:
    """Attack a receiver that admits one peer, by its title and password, over TLS."""
    if not certificates.can_create():
        return GroupResult(group=KNOWN, database=context.kind, skipped="no openssl on this machine")
    context.folder.mkdir(parents=True, exist_ok=True)
    files = certificates.create(context.folder)
    user = (b"dx1", secrets.token_hex().encode())
    password_hash = PasswordHash.from_password(user[1].decode(), salt=secrets.token_bytes(16))
    receive = {
        "tls_certificate": str(files["certificate"]),
        "tls_key": str(files["key"]),
        "users": [{"name": user[0].decode(), "password_hash": str(password_hash)}],
        "peers": [{"ae_title": MODALITY_TITLE}],
    }
    target = Target(port=0, connections=_CONNECTIONS, certificate=files["certificate"], seed=context.seed)
    group = _Attacked(context, KNOWN, first_film=57_000_000, target=target, user=user)
    return group.run("known-peer", receive, KNOWN_PEER)


def any_peer(context: FaultContext) -> GroupResult:
    """Attack a receiver that admits every peer, which has large films."""
    target = Target(port=0, connections=_CONNECTIONS, seed=context.seed)
    return _Attacked(context, ANY, first_film=59_000_000, target=target).run("any-peer", {}, ANY_PEER)


class _Attacked:
    """A node under attacks, and a peer that sends films to it; `user` is that peer's name and password."""

    def __init__(
        self, context: FaultContext, title: str, *, first_film: int, target: Target, user: wire.User | None = None
    ) -> None:
        self._context = context
        self._group = GroupRun(context, title)
        self._first_film = first_film
        self._target = target
        self._user = user
        self._films = max(2, context.amounts.films_per_round // 4)

    def run(self, name: str, receive: Mapping[str, object], attacks: Mapping[str, Attack]) -> GroupResult:
        """Run each attack in several rounds, then let the node report every film."""
        group, rounds = self._group, self._context.amounts.rounds
        notes: list[str] = []
        with ExitStack() as stack:
            pacs = stack.enter_context(SimulatedPacs())
            place = stack.enter_context(
                self._context.node(
                    name,
                    destinations={"pacs": scratch.to_pacs(pacs.port)},
                    # Connections are held as long as an attack lasts.
                    receive={"maximum_associations": _PLACES, "acse_timeout_s": 600.0, **receive},
                )
            )
            with _receiving(place) as port:
                self._target = replace(self._target, port=port)
                if name == "any-peer":
                    self._store_large_films()
                self._send()  # warm-up
                for number, (title, attack) in enumerate(attacks.items()):
                    self._context.on_progress("attacks", number, len(attacks))
                    notes.append(self._compare(title, attack, rounds))
            with node_process(NodePlan(place=place)) as node:
                group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S, pause_s=0.2)
                if node.stop() != 0:
                    group.problems.append("the node did not stop cleanly")
            ledger = group.check_ledger(place, pacs)
        return group.result(ledger, faults=len(attacks) * rounds, notes=notes)

    def _compare(self, title: str, attack: Attack, rounds: int) -> str:
        """Measure films without an attack and during it, in turn; return a note."""
        medians: list[tuple[float, float]] = []
        for _ in range(rounds):
            alone = self._send()
            with attack(self._target):
                medians.append((alone, self._send()))
        ratios = [attacked / alone for alone, attacked in medians]
        ratio = statistics.median(ratios)
        if self._films >= _FILMS_FOR_MEDIAN and ratio >= _LIMIT:
            self._group.problems.append(f"{title}: a film took {ratio:.2f} times as long")
        alone_ms, attacked_ms = (1000 * statistics.median(column) for column in zip(*medians, strict=True))
        return (
            f"{title}: {ratio:.2f} times as long; in each round {', '.join(f'{of_round:.2f}' for of_round in ratios)}; "
            f"median {alone_ms:.0f} ms without, {attacked_ms:.0f} ms during it"
        )

    def _send(self) -> float:
        """Send films, each on an association of its own; return the median of their seconds."""
        durations: list[float] = []
        tls = self._target.tls
        for _ in range(self._films):
            film = wire.message(self._context.films.make(self._first_film + len(self._group.promised)))
            began = time.perf_counter()
            with wire.connected(self._target.port, tls=tls) as peer:
                stored = peer.associate(film.sop_class_uid, user=self._user) and peer.store(film) == 0
                peer.release()
            durations.append(time.perf_counter() - began)
            self._note(film, is_stored=stored)
        return statistics.median(durations)

    def _store_large_films(self) -> None:
        for _ in range(self._films):
            number = self._first_film + len(self._group.promised)
            film = attackers.with_more_bytes(wire.message(self._context.films.make(number)), _LARGE_BYTES)
            with wire.connected(self._target.port) as peer:
                self._note(film, is_stored=peer.associate(film.sop_class_uid) and peer.store(film) == 0)
                peer.release()
            stored = (*self._target.stored, (film.sop_class_uid, film.sop_instance_uid))
            self._target = replace(self._target, stored=stored)

    def _note(self, film: wire.Message, *, is_stored: bool) -> None:
        if is_stored:
            self._group.promised[film.study_instance_uid] = film.sop_instance_uid
        else:
            self._group.problems.append("a film got no Success")


@contextmanager
def _receiving(place: ScratchNode) -> Iterator[int]:
    """Run the installed program with the receiver alone; yield its port."""
    with Program(place.config, log=place.log, roles=("receive",)) as program:
        if not program.wait_until_ready("receive", timeout_s=_START_S):
            raise TimeoutError(program.state())
        yield program.port
