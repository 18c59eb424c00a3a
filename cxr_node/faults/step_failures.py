"""Failures at single checkpoints: a disk that is full, fails or is read-only, a database that is unreachable."""

import resource
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.node_process import NodePlan, NodeProcess, node_process
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.steps import MAINTENANCE, START, Action, Fault
from cxr_node.simulators.pacs import SimulatedPacs

DISK, DATABASE = "disk full, failing, read-only at every write", "database unreachable at every statement"
_DISK_WORDS = frozenset({"open", "write", "fsync", "rename", "replace", "mkdir", "unlink"})
_DISK_ACTIONS = (Action.NO_SPACE, Action.QUOTA, Action.INPUT_OUTPUT, Action.READ_ONLY)
_NUMBERS = (1, 3)
"""A checkpoint fails the first time it is reached, and the third time."""
_ATTEMPTS = 200
_DISCOVERY_FILMS = 3
_FILMS = 12
_IDLE_TIMEOUT_S = 240.0
_LARGEST_FILE_BYTES = 40_000
"""RLIMIT_FSIZE of the process: less than a film, more than a log line."""


def disk(context: FaultContext) -> GroupResult:
    """Let every call that writes to the disk fail in every way; check the ledger."""
    return _run(context, DISK, "disk", _DISK_ACTIONS, limits_file_size=True)


def database(context: FaultContext) -> GroupResult:
    """Let the database be unreachable at every statement and commit of every stage; check the ledger."""
    return _run(context, DATABASE, "statements", (Action.DATABASE_AWAY,), limits_file_size=False)


def _run(
    context: FaultContext, title: str, name: str, actions: Sequence[Action], *, limits_file_size: bool
) -> GroupResult:
    group = GroupRun(context, title, first_film=30_000_000)
    injected = planned = 0
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        destinations = {
            "pacs": scratch.to_pacs(pacs.port, confirm="find", confirm_again_s=1.0),
            "share": scratch.to_folder(context.folder / name / "share"),
        }
        place = stack.enter_context(context.node(name, destinations=destinations))

        def run_node(films: int, faults: Sequence[Fault] = (), *, maintains: bool = True) -> NodeProcess:
            with node_process(NodePlan(place=place, faults=tuple(faults), maintains=maintains)) as node:
                _store(group, node, films)
                group.wait_until_idle(place, pacs, _IDLE_TIMEOUT_S, pause_s=0.2)
                node.read_messages(0.0)
            return node

        discovery = run_node(_DISCOVERY_FILMS)
        for number, action in enumerate(actions):
            context.on_progress(action, number, len(actions))
            faults = _faults(discovery.steps, action, context.amounts.writes)
            injected += run_node(min(_FILMS, 3 * context.amounts.writes), faults).injected
            planned += len(faults)
        notes = [f"{injected} of {planned} faults injected: {len(faults)} of each kind"]
        if limits_file_size:
            notes.append(_send_beyond_limit(place, group))
            run_node(2, maintains=False)
        ledger = group.check_ledger(place, pacs)
    if injected < planned // 2:
        group.problems.append(f"only {injected} of {planned} faults injected")
    return group.result(ledger, faults=injected, notes=notes, problems=pacs.changed)


def _faults(steps: Iterable[str], action: Action, limit: int) -> list[Fault]:
    """Return the faults of one run: every checkpoint that `action` applies to, at several counts."""
    names = sorted(step for step in steps if not step.startswith((START, MAINTENANCE)) and _fits(step, action))
    return [Fault(step=step, action=action, number=number) for number in _NUMBERS for step in names[:limit]]


def _fits(step: str, action: Action) -> bool:
    _, _, checkpoint = step.partition(": ")
    when, _, call = checkpoint.partition(" ")
    if action is Action.DATABASE_AWAY:
        return when == "before" and call.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT"))
    return when == "before" and call in _DISK_WORDS


def _store(group: GroupRun, node: NodeProcess, films: int) -> None:
    """Send new films one by one, each until it gets Success."""
    for _ in range(films):
        if not any(group.send(node.port) == 0 for _ in range(_ATTEMPTS) if node.port and not node.has_ended):
            group.problems.append(f"a film got no Success in {_ATTEMPTS} attempts")


def _limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))


def _send_beyond_limit(place: ScratchNode, group: GroupRun) -> str:
    """Send to a node whose process cannot write a file as large as a film: no film may get Success."""
    with node_process(NodePlan(place=place, limits=_limit_file_size)) as full:
        if not full.port:
            return "with a file size limit below a film the node does not start"
        statuses = [group.send(full.port) for _ in range(5)]
    answers = ", ".join("no answer" if status is None else f"0x{status:04X}" for status in dict.fromkeys(statuses))
    if 0 in statuses:
        group.problems.append("Success for a film that the process cannot write")
    return f"with a file size limit below a film, C-STORE is answered with {answers}"
