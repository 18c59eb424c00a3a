"""Load sender in its own process, limited only by the receiver.

    python -m benchmarks.load.sender

Reads one order per line on standard input (`Order` as JSON), and writes one answer per line on standard output
(`Answer` as JSON). It shares no upper-layer code with the measured receivers: otherwise the same error or delay could
be on both sides. Films are encoded to PDUs once. One thread serves all associations by epoll; pixels go from a file in
memory to the socket by sendfile, so that a film costs the sender a few system calls and no copy.
"""

import heapq
import json
import math
import selectors
import socket
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.load.connection import LARGEST_PDU, Gone, Line, Step, largest_pdu
from benchmarks.load.films import ReadyFilm, identity, ready, ready_request
from cxr_node.faults import wire

LOOPBACK = "127.0.0.1"
_OK = 200
_PATIENCE_S = 60.0
"""Time without any event after which the run fails."""

Sender = Generator[socket.socket | int | float, None, None]
"""A step that also yields each socket before it waits for its events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Films to send, until `seconds` or `films` is reached; a film in progress is completed."""

    port: int
    path: str
    run: int
    """Number of the run, part of each UID."""
    senders: int = 1
    seconds: float = 3600.0
    films: int = 1_000_000_000
    per_association: int = 0
    """Films per association; 0 for all."""
    every_s: float = 0.0
    """Seconds between the films of all senders together; 0 for no pause after a response."""
    nagle: bool = False
    """Leave Nagle's algorithm on and write the command separately, like DCMTK's storescu and many modalities."""
    pdu_bytes: int = LARGEST_PDU
    """Largest PDU to send, if the receiver allows it."""
    idle_s: float = 0.0
    """Seconds of open associations without a film, instead of films."""
    web_token: str = ""
    """API token for STOW-RS, one film a request and many on a connection, instead of C-STORE."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """Result of an order: number, begin, last byte sent, response (monotonic seconds) and status of each film."""

    films: list[tuple[int, float, float, float, int]] = field(default_factory=list)
    refused: int = 0
    """Associations that the receiver rejected or ended."""
    began_at: float = 0.0
    """Time at which the first association was open."""
    cpu_s: float = 0.0
    """Processor time of the sender."""

    @property
    def stored(self) -> list[tuple[int, float, float, float, int]]:
        """The films with a Success response."""
        return [film for film in self.films if film[4] == 0]

    @property
    def seconds(self) -> float:
        """From the start to the last response."""
        return max((film[3] for film in self.films), default=self.began_at) - self.began_at


class _Load:
    """One order in progress."""

    def __init__(self, order: Order, library: "Library") -> None:
        self._order, self._library = order, library
        self._numbers: Iterator[int] = iter(range(1, order.films + 1))
        self._sop_class_uid, self._transfer_syntax_uid = identity(Path(order.path))
        self.answer = Answer()
        self._deadline = math.inf

    def run(self) -> Answer:
        """Send until the end."""
        before = time.process_time()
        _drive([self._sender() for _ in range(self._order.senders)])
        self.answer.cpu_s = time.process_time() - before
        return self.answer

    def _sender(self) -> Sender:
        """Open one association after the other; yield the socket of each before its events."""
        more = True
        while more and time.monotonic() < self._deadline:
            with closing(socket.create_connection((LOOPBACK, self._order.port), _PATIENCE_S)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not self._order.nagle)
                connection.setblocking(False)
                yield connection
                serve = self._requests if self._order.web_token else self._association
                try:
                    more = yield from serve(Line(connection))
                except (Gone, OSError):
                    self.answer.refused += 1
                    more = False

    def _association(self, line: Line) -> Generator[int | float, None, bool]:
        """Send films on a new association; return whether films may remain."""
        yield from line.send(wire.associate_rq(self._sop_class_uid, (self._transfer_syntax_uid,)))
        kind, body = yield from line.pdu()
        if kind != wire.ASSOCIATE_AC:
            raise Gone
        self._begin()
        if self._order.idle_s:
            yield time.monotonic() + self._order.idle_s
        else:
            film = self._library.film(self._order.path, min(self._order.pdu_bytes, largest_pdu(body)))
            yield from self._films(line, film)
        yield from line.send(wire.pdu(wire.RELEASE_RQ, bytes(4)))
        yield from line.pdu()
        return not self._order.idle_s

    def _requests(self, line: Line) -> Generator[int | float, None, bool]:
        """Send films by STOW-RS on a new connection; return whether films may remain."""
        self._begin()
        yield from self._films(line, self._library.request(self._order.path, self._order.web_token))
        return True

    def _begin(self) -> None:
        """Start the time of the order, if this is the first connection."""
        if not self.answer.began_at:
            self.answer.began_at = time.monotonic()
            self._deadline = self.answer.began_at + self._order.seconds

    def _films(self, line: Line, film: ReadyFilm) -> Step:
        for sent in count(1):
            number = None if time.monotonic() >= self._deadline else next(self._numbers, None)
            if number is None:
                self._deadline = 0.0
                return
            if self._order.every_s:
                yield self.answer.began_at + (number - 1) * self._order.every_s
            yield from self._film(line, film, number)
            if sent == self._order.per_association:
                return

    def _film(self, line: Line, film: ReadyFilm, number: int) -> Step:
        command, head = film.copy(run=self._order.run, number=number)
        began = time.monotonic()
        for content in (command, head) if self._order.nagle else (command + head,):
            yield from line.send(content)
        yield from line.send_file(film.tail, film.tail_bytes)
        sent = time.monotonic()
        status = yield from self._status(line)
        self.answer.films.append((number, began, sent, time.monotonic(), status))

    def _status(self, line: Line) -> Generator[int | float, None, int]:
        """Return the status of the next response: 0 for Success."""
        if self._order.web_token:
            http_status = yield from line.response()
            return 0 if http_status == _OK else http_status
        kind, body = yield from line.pdu()
        status = wire.status_of(body) if kind == wire.P_DATA else None
        if status is None:
            raise Gone
        return status


def _drive(senders: list[Sender]) -> None:
    """Resume each sender when its event occurs, until all have ended."""
    number = count()
    due = [(0.0, next(number), sender) for sender in senders]
    sockets: dict[int, socket.socket] = {}
    left = len(senders)
    with selectors.EpollSelector() as selector:
        while left:
            while due and due[0][0] <= time.monotonic():
                _, _, sender = heapq.heappop(due)
                left -= _go_on(sender, selector, sockets, due, next(number))
            timeout = max(0.0, due[0][0] - time.monotonic()) if due else _PATIENCE_S
            for key, _ in selector.select(timeout) or _none(due, selector):
                selector.unregister(key.fileobj)
                left -= _go_on(key.data, selector, sockets, due, next(number))


def _none(due: object, selector: selectors.EpollSelector) -> list[tuple[selectors.SelectorKey, int]]:
    """Return nothing if a time is due later; otherwise the receiver does not respond."""
    if not due and selector.get_map():
        raise TimeoutError(f"the receiver sent nothing for {_PATIENCE_S:.0f} s")
    return []


def _go_on(
    sender: Sender,
    selector: selectors.EpollSelector,
    sockets: dict[int, socket.socket],
    due: list[tuple[float, int, Sender]],
    number: int,
) -> bool:
    """Resume a sender until it waits; return whether it has ended."""
    for wanted in sender:
        if isinstance(wanted, socket.socket):
            sockets[id(sender)] = wanted
        elif isinstance(wanted, float):
            heapq.heappush(due, (wanted, number, sender))
            return False
        else:
            selector.register(sockets[id(sender)], wanted, sender)
            return False
    return True


class Library:
    """Films encoded to PDUs, by path and PDU size."""

    def __init__(self) -> None:
        self._films: dict[tuple[str, int], ReadyFilm] = {}

    def film(self, path: str, pdu_bytes: int) -> ReadyFilm:
        """Return the film of a file in PDUs of this size, encoded once."""
        key = (path, pdu_bytes)
        if key not in self._films:
            self._films[key] = ready(Path(path), pdu_bytes=pdu_bytes)
        return self._films[key]

    def request(self, path: str, token: str) -> ReadyFilm:
        """Return the film of a file as a STOW-RS request, encoded once."""
        key = (path, 0)
        if key not in self._films:
            self._films[key] = ready_request(Path(path), token=token)
        return self._films[key]


def main() -> None:
    """Process orders until standard input ends."""
    library = Library()
    for line in sys.stdin:
        answer = _Load(Order(**json.loads(line)), library).run()
        print(json.dumps(asdict(answer)), flush=True)


if __name__ == "__main__":
    main()
