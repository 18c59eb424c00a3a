"""Fuzzer of the upper layer and DIMSE: seeded mutations of association requests, PDUs, command sets and data sets.

Mutations know the protocol: wrong lengths, flipped bits, parts removed, repeated or moved, values out of range. Many
messages stay valid. The node must survive, answer Success only to films that it then reads and reports, and serve other
peers meanwhile.
"""

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from random import Random

from cxr_node.faults import scratch, wire
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.process_usage import Usage
from cxr_node.faults.wire import COMMAND, Message, Wire
from cxr_node.simulators.pacs import SimulatedPacs

GROUP = "malformed PDUs and data sets"
_LENGTHS = (0, 1, 2, 5, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_EVERY = 50
"""One valid film, which must get Success, is sent with so many malformed messages."""
_PEERS = 4
_GROWTH = 0.25
_GROWTH_BYTES = 48 << 20
"""Permitted growth of the process from the first fifth of the run to its end, by ratio or by size."""
_IDLE_TIMEOUT_S = 1800.0
"""Mutated films that are still valid are read and reported before the last good ones."""
_TIMEOUT_S = 0.2
_UID_AT = b"\x08\x00\x18\x00UI"
_STUDY_AT = b"\x20\x00\x0d\x00UI"

Mutation = Callable[[Random, bytes], bytes]


def run(context: FaultContext) -> GroupResult:
    """Send malformed messages with good films in between; check the ledger."""
    seed = context.rng(GROUP).getrandbits(32)
    group = GroupRun(context, GROUP, first_film=61_000_000)
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        place = stack.enter_context(
            context.node(
                "fuzz",
                destinations={"pacs": scratch.to_pacs(pacs.port)},
                sections={"receive": {"acse_timeout_s": 2.0, "dimse_timeout_s": 2.0, "message_timeout_s": 4.0}},
            )
        )
        node = stack.enter_context(node_process(NodePlan(place=place)))
        count = context.amounts.messages
        usage: list[Usage] = []
        model = wire.message(context.films.make(60_000_000))
        peers = stack.enter_context(ThreadPoolExecutor(_PEERS))
        for number in range(0, count, _EVERY):
            context.on_progress("malformed messages", number, count)
            malformed = [
                peers.submit(_bad, Random(seed + index), node.port, _renamed(model, index))  # noqa: S311  # not for secrets
                for index in range(number, min(count, number + _EVERY))
            ]
            group.store(node.port)
            wait(malformed)
            usage.append(Usage.of(node.pid))
        group.store(node.port)
        group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S)
        usage.append(Usage.of(node.pid))
        if node.stop() != 0:
            group.problems.append("the node died or did not stop cleanly")
        ledger = group.check_ledger(place, pacs, is_fuzzed=True)
    early, last = usage[len(usage) // 5], usage[-1]
    growth = early.growth(last, limit_bytes=max(int(_GROWTH * early.resident_bytes), _GROWTH_BYTES))
    return group.result(ledger, faults=count, notes=(f"{early} after a fifth, {last} at the end",), problems=growth)


def _renamed(model: Message, number: int) -> Message:
    """Return the film under UIDs of its own, of the same length."""
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


def _bad(rng: Random, port: int, film: Message) -> None:
    """Send one malformed message and close the connection."""
    try:
        with wire.connected(port, timeout_s=_TIMEOUT_S) as peer:
            rng.choice((_bad_request, _bad_pdu, _bad_fragment, _bad_command, _bad_data_set, _bad_data_set))(
                rng, peer, film
            )
    except (OSError, struct.error):  # the node closed the connection, or does not answer in time: both are permitted
        return


def _bad_request(rng: Random, peer: Wire, film: Message) -> None:
    peer.send(_mutated(rng, wire.associate_rq(film.sop_class_uid), _BYTES))
    peer.receive()


def _bad_pdu(rng: Random, peer: Wire, film: Message) -> None:
    """Send, on an association, a PDU with a wrong type, length or content, or one that is out of order."""
    peer.associate(film.sop_class_uid)
    pdus = wire.store_pdus(film)
    at = rng.randrange(min(3, len(pdus)))
    match rng.randrange(4):
        case 0:
            pdus[at] = _mutated(rng, pdus[at], _BYTES)
        case 1:
            pdus[at] = bytes((rng.randrange(256),)) + pdus[at][1:]
        case 2:
            pdus[at] = pdus[at][:2] + struct.pack(">L", rng.choice(_LENGTHS)) + pdus[at][6:]
        case _:
            pdus.insert(at, rng.choice((wire.associate_rq(film.sop_class_uid), wire.pdu(wire.RELEASE_RP, bytes(4)))))
    peer.send(*pdus)
    peer.receive()


def _bad_fragment(rng: Random, peer: Wire, film: Message) -> None:
    """Send fragments with a wrong length, context or control header, or out of order, missing or repeated."""
    peer.associate(film.sop_class_uid)
    pdus = wire.store_pdus(film)
    at = rng.randrange(len(pdus))
    match rng.randrange(4):
        case 0:
            pdus[at] = pdus[at][:6] + struct.pack(">L", rng.choice(_LENGTHS)) + pdus[at][10:]
        case 1:
            context, control = rng.randrange(256), rng.randrange(256)
            pdus[at] = pdus[at][:10] + bytes((context, control)) + pdus[at][12:]
        case 2:
            pdus[at : at + 1] = [] if rng.random() < 0.5 else [pdus[at], pdus[at]]
        case _:
            rng.shuffle(pdus)
    peer.send(*pdus)
    peer.receive()


def _bad_command(rng: Random, peer: Wire, film: Message) -> None:
    peer.associate(film.sop_class_uid)
    command = _mutated(rng, wire.store_rq(film), _BYTES)
    peer.send(*wire.p_datas(command, COMMAND), *wire.p_datas(film.data_set, 0))
    peer.receive()


def _bad_data_set(rng: Random, peer: Wire, film: Message) -> None:
    """Send a data set with wrong lengths, VRs or values, or one that is truncated."""
    peer.associate(film.sop_class_uid)
    header, pixels = film.data_set[:2000], film.data_set[2000:]
    content = _mutated(rng, header, _BYTES)
    if rng.random() < 0.5:
        content = content[: rng.randrange(1, len(content) + 1)]
    else:
        content += pixels
    peer.send(*wire.p_datas(wire.store_rq(film), COMMAND), *wire.p_datas(content, 0))
    peer.receive()


def _mutated(rng: Random, content: bytes, mutations: Sequence[Mutation]) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        content = rng.choice(mutations)(rng, content)
    return content


def _flip(rng: Random, content: bytes) -> bytes:
    at = rng.randrange(max(1, len(content)))
    return content[:at] + bytes((content[at] ^ (1 << rng.randrange(8)),)) + content[at + 1 :] if content else content


def _set_length(rng: Random, content: bytes) -> bytes:
    """Overwrite bytes by a wrong length."""
    form = rng.choice(("<H", "<L", ">H", ">L"))
    size = struct.calcsize(form)
    if len(content) <= size:
        return content
    at = rng.randrange(0, len(content) - size, 2 if len(content) > size + 2 else 1)
    return content[:at] + struct.pack(form, rng.choice(_LENGTHS) % (1 << 8 * size)) + content[at + size :]


def _cut(rng: Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 4, 8, 100)) :]


def _repeat(rng: Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    part = content[start : start + rng.choice((1, 2, 4, 8, 100))]
    return content[:start] + part * rng.choice((2, 3, 50)) + content[start:]


def _noise(rng: Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    noise = rng.randbytes(rng.choice((1, 2, 4, 8, 100)))
    return content[:start] + noise + content[start + len(noise) :]


_BYTES: tuple[Mutation, ...] = (_flip, _set_length, _set_length, _cut, _repeat, _noise)
