"""Films made to exhaust memory and time, among good ones; the process that composes is killed at random moments."""

import os
import signal
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from cxr_node.faults import scratch, wire
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.wire import Message
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "films made to exhaust memory, kill -9 of the process that composes"
_IDLE_TIMEOUT_S = 1800.0
_MEMORY_BYTES = 512 << 20
"""Address space of the process that composes: an eighth of the default."""
_TIMEOUT_S = 120.0
_FIRST_FILM, _FIRST_HOSTILE_FILM = 62_000_000, 63_000_000
_PRIVATE = 0x00210000
"""The elements lie behind the UIDs, where reception does not read any more."""
_SEQUENCE = struct.pack("<HH2s2xL", 0x0021, 0x1001, b"SQ", 0xFFFFFFFF)
_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXPLICIT = "1.2.840.10008.1.2.1"
_CHUNK_BYTES = 1 << 20

Content = Callable[[bytes, int], bytes]
"""Makes a data set hostile; the number says how many elements, levels or mebibytes it gets."""


def run(context: FaultContext) -> GroupResult:
    """Send a film of each kind and a good one, in turn; check that each has exactly one report."""
    group = GroupRun(context, GROUP, first_film=_FIRST_FILM)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(
            context.node(
                "hostile",
                destinations={"pacs": scratch.to_pacs(pacs.port)},
                sections={"compose": {"own_process": True}, "gate": {"memory_bytes": _MEMORY_BYTES}},
                receive={"message_timeout_s": _TIMEOUT_S},
            )
        )
        node = stack.enter_context(node_process(NodePlan(place=place)))
        kills = stack.enter_context(_killing_composers(node.pid, context.rng(GROUP), context.amounts.composer_kills))
        for number, (kind, content) in enumerate(_KINDS.items()):
            context.on_progress("hostile films", number, len(_KINDS))
            film = wire.message(context.films.make(_FIRST_HOSTILE_FILM + number))
            _store(group, node.port, kind, replace(film, data_set=content(film.data_set, context.amounts.elements)))
            group.store(node.port)
        group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
        if node.stop() != 0:
            group.problems.append("the node died or did not stop cleanly")
        ledger = group.check_ledger(place, pacs)
    notes = [f"{len(_KINDS)} kinds of film, {len(kills)} kills"]
    return group.result(ledger, faults=len(_KINDS) + len(kills), notes=notes)


def _store(group: GroupRun, port: int, kind: str, film: Message) -> None:
    """Send a hostile film, which must get a status; with Success it must get a report too."""
    syntax = _DEFLATED if kind == _BOMB else _EXPLICIT
    with wire.connected(port, timeout_s=_TIMEOUT_S) as peer:
        peer.send(wire.associate_rq(film.sop_class_uid, (syntax,)))
        peer.receive()
        status = peer.store(film)
        peer.release()
    if status is None:
        group.problems.append(f"{kind}: no status")
    elif status == 0:
        group.promised[film.study_instance_uid] = film.sop_instance_uid


@contextmanager
def _killing_composers(node: int, rng: Random, limit: int) -> Iterator[list[int]]:
    """Kill the process that composes, at random moments, while the block lasts; the value has the ids of the killed."""
    stopping, killed = threading.Event(), list[int]()

    def kill() -> None:
        while len(killed) < limit and not stopping.wait(rng.uniform(0.5, 3.0)):
            for composer in _pool_processes(node):
                with suppress(ProcessLookupError):
                    os.kill(composer, signal.SIGKILL)
                    killed.append(composer)

    thread = threading.Thread(target=kill, name="kill composers", daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        stopping.set()
        thread.join()


def _pool_processes(parent: int) -> list[int]:
    """Return the worker processes that a process has started."""
    children: list[int] = []
    for thread in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            children += map(int, thread.read_text().split())
    return [child for child in children if _is_pool_process(child)]


def _is_pool_process(process: int) -> bool:
    try:
        return b"cxr_node.process_pool" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _elements(data_set: bytes, number: int) -> bytes:
    """Insert empty private elements."""
    groups = [0x0021 + 2 * (index // 0xEF00) for index in range(number)]
    elements = (struct.pack("<HH2sH", group, 0x1000 + index % 0xEF00, b"LO", 0) for index, group in enumerate(groups))
    return _inserted(data_set, b"".join(elements))


def _levels(data_set: bytes, number: int) -> bytes:
    """Insert sequences within each other, without an end."""
    return _inserted(data_set, (_SEQUENCE + _ITEM) * number)


def _items(data_set: bytes, number: int) -> bytes:
    """Insert a sequence of a defined length with empty items."""
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * number
    return _inserted(data_set, struct.pack("<HH2s2xL", 0x0021, 0x1001, b"SQ", len(items)) + items)


def _inflating(data_set: bytes, number: int) -> bytes:
    """Deflate the data set with an element of zeros that is larger than a film may be: 200 for each of `number`."""
    size = max(600 << 20, 200 * number)
    head = _inserted(data_set, struct.pack("<HH2s2xL", 0x0021, 0x1001, b"OB", size))
    at = head.index(struct.pack("<HH2s2xL", 0x0021, 0x1001, b"OB", size)) + 12
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(_CHUNK_BYTES)
    parts = [deflater.compress(head[:at])]
    parts += (deflater.compress(zeros) for _ in range(size // _CHUNK_BYTES))
    parts += (deflater.compress(bytes(size % _CHUNK_BYTES)), deflater.compress(head[at:]), deflater.flush())
    return b"".join(parts)


def _truncated(data_set: bytes, _number: int) -> bytes:
    """Cut the data set within Pixel Data."""
    return data_set[: -len(data_set) // 4]


def _inserted(data_set: bytes, elements: bytes) -> bytes:
    """Insert elements of group 0021, behind the UIDs."""
    at = 0
    while struct.unpack_from("<H", data_set, at)[0] < _PRIVATE >> 16:
        vr = data_set[at + 4 : at + 6]
        if vr in (b"SQ", b"OB", b"OW", b"UN", b"UT"):
            (length,) = struct.unpack_from("<L", data_set, at + 8)
            if length == 0xFFFFFFFF:
                at = data_set.index(b"\xfe\xff\xdd\xe0", at) + 8
                continue
            at += 12 + length
        else:
            at += 8 + struct.unpack_from("<H", data_set, at + 6)[0]
    return data_set[:at] + elements + data_set[at:]


_BOMB = "a deflated film that inflates beyond the bound"
_KINDS: Mapping[str, Content] = {
    "millions of elements": _elements,
    "sequences within each other": _levels,
    "a sequence of millions of items": _items,
    _BOMB: _inflating,
    "a film that ends within its pixels": _truncated,
}
