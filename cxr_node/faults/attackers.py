"""Peers that hold or load a receiver: each runs for the block, in a process of its own where it needs processor time.

A flood of connections or films slows every receiver and is a firewall's matter. The rates here are those of a single
peer that tries again and again.
"""

import multiprocessing
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from typing import Any

from pynetdicom import build_context

from cxr_node.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST, Reference
from cxr_node.domain.encoded_data_set import MAXIMUM_ELEMENTS
from cxr_node.domain.identifiers import AeTitle, Uid, new_uid
from cxr_node.faults import wire
from cxr_node.faults.films import Films
from cxr_node.faults.scratch import MODALITY_TITLE, NODE_TITLE
from cxr_node.faults.wire import Message
from cxr_node.net.commitment_data_sets import action_information
from cxr_node.simulators.peer import Peer

_GUESSERS = 30
_PAUSE_S = 1.0
"""Of each guesser after a rejection, and of each requester of commitment; a connection with junk has a twentieth."""
_JUNK_BYTES = 200
_REQUESTERS = 4
_TIMES_NAMED = 100
_TIMEOUT_S = 30.0
_START_S = 120.0
_FIRST_FILM = 58_000_000
_LEVELS = 1_000_000
_GROUP_0008 = struct.pack("<HH2s2xL", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A receiver: its port, the certificate that it presents, and the films that it has stored."""

    port: int
    connections: int
    certificate: Path | None = None
    stored: tuple[tuple[str, str], ...] = ()
    """SOP Class and Instance UIDs."""
    seed: int = 0

    @property
    def tls(self) -> ssl.SSLContext | None:
        """TLS that trusts the receiver; None for plain TCP."""
        return None if self.certificate is None else ssl.create_default_context(cafile=str(self.certificate))


@contextmanager
def silent(target: Target) -> Iterator[None]:
    """Hold more connections without a request than the receiver has places for connections."""
    tls = target.tls
    with ExitStack() as stack:
        for _ in range(target.connections):
            stack.enter_context(wire.connected(target.port, tls=tls))
        yield


@contextmanager
def junk(target: Target) -> Iterator[None]:
    """Open connections and send junk."""
    with _running(_send_junk, target):
        yield


@contextmanager
def guesses(target: Target) -> Iterator[None]:
    """Guess passwords on many connections of another address."""
    with _running(_guess, target, threads=_GUESSERS):
        yield


@contextmanager
def commitment(target: Target) -> Iterator[None]:
    """Request storage commitment of every stored film again and again, each film many times."""
    with _running(_request_commitment, target, threads=_REQUESTERS):
        yield


@contextmanager
def sequences(target: Target) -> Iterator[None]:
    """Send films with a million sequences within each other, in front of their UIDs."""
    with _running(_send_films, target, (_GROUP_0008 + _ITEM) * _LEVELS):
        yield


@contextmanager
def elements(target: Target) -> Iterator[None]:
    """Send films with one element more than may be in front of their UIDs."""
    with _running(_send_films, target, _private(MAXIMUM_ELEMENTS)):
        yield


def with_more_bytes(film: Message, size_bytes: int) -> Message:
    """Return a film with a private element of that size at its end: a film that is slow to read and digest."""
    element = struct.pack("<HH2s2xL", 0x7FE1, 0x1001, b"OB", size_bytes) + bytes(size_bytes)
    return replace(film, data_set=film.data_set + element)


@contextmanager
def _running(attack: Callable[..., None], *arguments: Any, threads: int = 1) -> Iterator[None]:
    """Run an attack in so many threads of a process; the block begins with its first attempts."""
    context = multiprocessing.get_context("forkserver")
    began = context.Event()
    process = context.Process(target=_attack, args=(began, threads, attack, *arguments), daemon=True)
    process.start()
    try:
        if not began.wait(_START_S):
            raise TimeoutError("the attack has not begun")
        yield
    finally:
        process.kill()
        process.join()
        process.close()


def _attack(began: Event, threads: int, attack: Callable[..., None], *arguments: Any) -> None:
    others = [threading.Thread(target=attack, args=arguments, daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    began.set()
    attack(*arguments)


def _send_junk(target: Target) -> None:
    rng = Random(target.seed)  # noqa: S311  # not for secrets
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", target.port), _TIMEOUT_S) as connection:
            connection.sendall(rng.randbytes(rng.randint(1, _JUNK_BYTES)))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 12):
                pass
        time.sleep(_PAUSE_S / 20)


def _guess(target: Target) -> None:
    tls = target.tls
    sop_class_uid = Films(target.seed, side_pixels=64).make(0).SOPClassUID
    guess = wire.associate_rq(sop_class_uid, user=(b"dx1", b"a guess"))
    while True:
        with suppress(OSError), wire.connected(target.port, tls=tls, source="127.0.0.66") as peer:
            peer.send(guess)
            peer.receive()
        time.sleep(_PAUSE_S)


def _request_commitment(target: Target) -> None:
    # Under the title of the films' sender: for others nothing is read.
    peer = Peer("127.0.0.1", target.port, AeTitle(NODE_TITLE), AeTitle(MODALITY_TITLE), _TIMEOUT_S)
    references = [
        Reference(sop_class_uid=Uid(sop_class_uid), sop_instance_uid=Uid(sop_instance_uid))
        for sop_class_uid, sop_instance_uid in target.stored
    ] * _TIMES_NAMED
    while True:
        with suppress(OSError, RuntimeError, ValueError), peer.association([build_context(PUSH_MODEL)]) as opened:
            while opened.is_established:
                information = action_information(new_uid(), references)
                opened.send_n_action(information, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE)
                time.sleep(_PAUSE_S)


def _send_films(target: Target, before_uids: bytes) -> None:
    film = wire.message(Films(target.seed, side_pixels=64).make(_FIRST_FILM))
    hostile = b"".join(wire.store_pdus(replace(film, data_set=before_uids + film.data_set)))
    while True:
        with suppress(OSError), wire.connected(target.port) as peer:
            if not peer.associate(film.sop_class_uid):
                continue
            while True:
                peer.send(hostile)
                if peer.status() is None:
                    break


def _private(number: int) -> bytes:
    """Return empty private elements of groups in front of the UIDs of study and series."""
    groups = [0x0009 + 2 * (index // 0xEF00) for index in range(number)]
    return b"".join(
        struct.pack("<HH2sH", group, 0x1000 + index % 0xEF00, b"LO", 0) for index, group in enumerate(groups)
    )
