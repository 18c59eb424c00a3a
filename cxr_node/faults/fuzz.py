"""Malformed association requests, PDUs, fragments, command sets and data sets, made from good ones; seeded.

Each is wrong in a way that knows the protocol: a length that lies, a bit that is turned, a part that is missing, sent
twice or put elsewhere, a value beyond what is allowed. Many stay good all the same; what counts is that the node lives,
that it says Success only for what it then reads and reports as it would any film, and that others are served meanwhile.
"""

import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from random import Random

from cxr_node.faults import ledger_check, scratch, wire
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send, wait_for
from cxr_node.faults.node_process import Plan, life
from cxr_node.faults.outcome import Outcome
from cxr_node.faults.wire import COMMAND, Message, Wire
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "malformed PDUs and data sets"
_LENGTHS = (0, 1, 2, 5, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_EVERY = 50
"""With so many malformed messages a good film is sent, which must get Success."""
_PEERS = 4
_GROWTH = 1.25
_GROWTH_BYTES = 48 << 20
"""What the process may grow by from the first fifth of the run to its end, either by share or by size."""
_MORE_FILES = 20
_REST_S = 1800.0
"""Garbled films that are films all the same must be read and reported too before the good ones are at their end."""
_PATIENCE_S = 0.2
_UID_AT = b"\x08\x00\x18\x00UI"
_STUDY_AT = b"\x20\x00\x0d\x00UI"

Mutation = Callable[[Random, bytes], bytes]


def run(bench: FaultContext) -> Outcome:
    """Send malformed messages, good films between, and hold what was promised against what arrived."""
    seed = bench.chance(GROUP).getrandbits(32)
    promised: dict[str, str] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        seconds, pacs = stack.enter_context(stopwatch()), stack.enter_context(SimulatedPacs())
        place = scratch.place(
            bench.folder / "fuzz",
            receives=bench.receives,
            database_url=stack.enter_context(bench.database_url()),
            destinations={"pacs": scratch.to_pacs(pacs.port)},
            sections={"receive": {"acse_timeout_s": 2.0, "dimse_timeout_s": 2.0, "message_timeout_s": 4.0}},
        )
        node = stack.enter_context(life(Plan(place=place)))
        count = bench.amounts.messages
        held: list[tuple[int, int]] = []
        model = wire.message(bench.films.make(60_000_000))
        peers = stack.enter_context(ThreadPoolExecutor(_PEERS))
        for number in range(0, count, _EVERY):
            bench.tell("malformed messages", number, count)
            bad = [
                peers.submit(_bad, Random(seed + each), node.port, _renamed(model, each))  # noqa: S311  # not secrets
                for each in range(number, min(count, number + _EVERY))
            ]
            _good(bench, node.port, number, promised, problems)
            wait(bad)
            held.append((_resident_bytes(node.pid), _open_files(node.pid)))
        _good(bench, node.port, count, promised, problems)
        done = wait_for(
            lambda: promised.keys() <= pacs.by_study.keys() and ledger_check.is_at_rest(place.settings), _REST_S
        )
        if not done:
            problems.append(f"not at rest after {_REST_S:.0f} s")
        held.append((_resident_bytes(node.pid), _open_files(node.pid)))
        if node.stop() != 0:
            problems.append("the node died, or did not stop in order")
        drawn = ledger_check.drawn(place.settings, promised, pacs.by_study, failed_is_fine=True, extra_is_fine=True)
    problems += _growth(held)
    (early_bytes, _), (bytes_at_end, files_at_end) = held[len(held) // 5], held[-1]
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=count,
        films=drawn.films,
        confirmed=drawn.confirmed,
        lost=len(drawn.lost),
        doubled=len(drawn.doubled),
        problems=(*problems, *drawn.problems),
        notes=(
            f"resident memory {early_bytes >> 20} MiB after a fifth, {bytes_at_end >> 20} MiB at the end",
            f"{files_at_end} open files at the end",
        ),
        seconds=seconds(),
    )


def _growth(held: Sequence[tuple[int, int]]) -> list[str]:
    """Return what is wrong with the memory and the files that a process held in the course of time."""
    (early, files_before), (memory, files) = held[len(held) // 5], held[-1]
    grown: list[str] = []
    if memory > max(early * _GROWTH, early + _GROWTH_BYTES):
        grown.append(f"the process grew from {early >> 20} to {memory >> 20} MiB")
    if files > files_before + _MORE_FILES:
        grown.append(f"the process held {files_before} files open after a fifth and {files} at the end")
    return grown


def _good(bench: FaultContext, port: int, number: int, promised: dict[str, str], problems: list[str]) -> None:
    film = bench.films.make(61_000_000 + number)
    status = send(film, port)
    if status == 0:
        promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
    else:
        problems.append(f"a good film after {number} malformed messages got {status}")


def _renamed(model: Message, number: int) -> Message:
    """Return the film under UIDs of its own, as long as they were; those are not touched by mutations of its header."""
    ending = f"{number:08d}"
    uid = model.sop_instance_uid[: -len(ending)] + ending
    study = model.study_instance_uid[: -len(ending)] + ending
    content = _with_uid(_with_uid(model.data_set, _UID_AT, uid), _STUDY_AT, study)
    return Message(sop_class_uid=model.sop_class_uid, sop_instance_uid=uid, study_instance_uid=study, data_set=content)


def _with_uid(content: bytes, tag: bytes, uid: str) -> bytes:
    at = content.index(tag) + len(tag)
    (length,) = struct.unpack_from("<H", content, at)
    value = uid.encode().ljust(length, b"\0")
    return content[: at + 2] + value + content[at + 2 + length :]


def _bad(chance: Random, port: int, film: Message) -> None:
    """Send one malformed message, and hang up."""
    try:
        with wire.connected(port, timeout_s=_PATIENCE_S) as peer:
            chance.choice((_bad_request, _bad_pdu, _bad_fragment, _bad_command, _bad_data_set, _bad_data_set))(
                chance, peer, film
            )
    except (OSError, struct.error):  # the node hung up, or is still thinking: both are its right
        return


def _bad_request(chance: Random, peer: Wire, film: Message) -> None:
    peer.send(_mutated(chance, wire.associate_rq(film.sop_class_uid), _BYTES))
    peer.receive()


def _bad_pdu(chance: Random, peer: Wire, film: Message) -> None:
    """After the association: a PDU with a type, a length or a content that is wrong, or one that is out of place."""
    peer.associate(film.sop_class_uid)
    pdus = wire.store_pdus(film)
    at = chance.randrange(min(3, len(pdus)))
    match chance.randrange(4):
        case 0:
            pdus[at] = _mutated(chance, pdus[at], _BYTES)
        case 1:
            pdus[at] = bytes((chance.randrange(256),)) + pdus[at][1:]
        case 2:
            pdus[at] = pdus[at][:2] + struct.pack(">L", chance.choice(_LENGTHS)) + pdus[at][6:]
        case _:
            pdus.insert(at, chance.choice((wire.associate_rq(film.sop_class_uid), wire.pdu(wire.RELEASE_RP, bytes(4)))))
    peer.send(*pdus)
    peer.receive()


def _bad_fragment(chance: Random, peer: Wire, film: Message) -> None:
    """Fragments with a wrong length, context or control header; or in another order, missing or twice."""
    peer.associate(film.sop_class_uid)
    pdus = wire.store_pdus(film)
    at = chance.randrange(len(pdus))
    match chance.randrange(4):
        case 0:
            pdus[at] = pdus[at][:6] + struct.pack(">L", chance.choice(_LENGTHS)) + pdus[at][10:]
        case 1:
            context, control = chance.randrange(256), chance.randrange(256)
            pdus[at] = pdus[at][:10] + bytes((context, control)) + pdus[at][12:]
        case 2:
            pdus[at : at + 1] = [] if chance.random() < 0.5 else [pdus[at], pdus[at]]
        case _:
            chance.shuffle(pdus)
    peer.send(*pdus)
    peer.receive()


def _bad_command(chance: Random, peer: Wire, film: Message) -> None:
    peer.associate(film.sop_class_uid)
    command = _mutated(chance, wire.store_rq(film), _BYTES)
    peer.send(*wire.p_datas(command, COMMAND), *wire.p_datas(film.data_set, 0))
    peer.receive()


def _bad_data_set(chance: Random, peer: Wire, film: Message) -> None:
    """A data set whose elements lie about their lengths, VRs and values, or that ends too early."""
    peer.associate(film.sop_class_uid)
    header, pixels = film.data_set[:2000], film.data_set[2000:]
    content = _mutated(chance, header, _BYTES)
    if chance.random() < 0.5:
        content = content[: chance.randrange(1, len(content) + 1)]
    else:
        content += pixels
    peer.send(*wire.p_datas(wire.store_rq(film), COMMAND), *wire.p_datas(content, 0))
    peer.receive()


def _mutated(chance: Random, content: bytes, mutations: Sequence[Mutation]) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 5))):
        content = chance.choice(mutations)(chance, content)
    return content


def _flip(chance: Random, content: bytes) -> bytes:
    at = chance.randrange(max(1, len(content)))
    return content[:at] + bytes((content[at] ^ (1 << chance.randrange(8)),)) + content[at + 1 :] if content else content


def _lie(chance: Random, content: bytes) -> bytes:
    """Write a length that is wrong where one may stand."""
    form = chance.choice(("<H", "<L", ">H", ">L"))
    size = struct.calcsize(form)
    if len(content) <= size:
        return content
    at = chance.randrange(0, len(content) - size, 2 if len(content) > size + 2 else 1)
    return content[:at] + struct.pack(form, chance.choice(_LENGTHS) % (1 << 8 * size)) + content[at + size :]


def _cut(chance: Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content[start + chance.choice((1, 2, 4, 8, 100)) :]


def _repeat(chance: Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    part = content[start : start + chance.choice((1, 2, 4, 8, 100))]
    return content[:start] + part * chance.choice((2, 3, 50)) + content[start:]


def _noise(chance: Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    noise = chance.randbytes(chance.choice((1, 2, 4, 8, 100)))
    return content[:start] + noise + content[start + len(noise) :]


_BYTES: tuple[Mutation, ...] = (_flip, _lie, _lie, _cut, _repeat, _noise)


def _resident_bytes(process_id: int) -> int:
    """Return how much memory a process holds (the second number of /proc/<id>/statm, in pages)."""
    status = Path(f"/proc/{process_id}/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0


def _open_files(process_id: int) -> int:
    """Return how many files and connections a process holds open."""
    held = Path(f"/proc/{process_id}/fd")
    return len(list(held.iterdir())) if held.exists() else 0
