"""PACS faults: outages of days, slow answers, lost objects, every failure status, associations cut at each PDU."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult, LedgerResult, total
from cxr_node.faults.proxy import CutMode, cutting_proxy
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs, StoreRequest

GROUP = "PACS unreachable, slow, losing objects, rejecting, aborting"
_LONG_OUTAGE = timedelta(hours=80)
_STATUSES = (
    *(0x0105, 0x0106, 0x0107, 0x0110, 0x0111, 0x0112, 0x0115, 0x0116, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121),
    *(0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213, 0x0001, 0xA700, 0xA7FF, 0xA900, 0xA9FF, 0xB000, 0xB006, 0xB007),
    *(0xC000, 0xC123, 0xCFFF, 0xFE00, 0xFF00, 0x4242),
)
"""Every general status of PS3.7 annex C, those of C-STORE (PS3.4 table B.2-1), and two without meaning here."""
_DUPLICATE = 0x0111
_MOST_PDUS = 40
_FULL_OUTAGE_H = 70.0
"""With shorter outages in the amounts, the outage beyond three days is left out as well."""


def run(context: FaultContext) -> GroupResult:
    """Run each PACS fault on a node of its own; check the ledger of each."""
    parts: dict[str, Callable[[FaultContext], tuple[int, LedgerResult]]] = {
        "outage": _outage,
        "long outage": _long_outage,
        "slow": _slow,
        "losing objects, verified by commitment": partial(_losing, confirm="commitment"),
        "losing objects, verified by C-FIND": partial(_losing, confirm="find"),
        "rejecting": _rejecting,
        "aborting": _aborting,
    }
    group = GroupRun(context, GROUP)
    results: list[LedgerResult] = []
    faults = 0
    if context.amounts.outage_hours < _FULL_OUTAGE_H:
        parts.pop("long outage")
    for number, (name, part) in enumerate(parts.items()):
        context.on_progress(f"PACS {name}", number, len(parts))
        injected, ledger = part(context)
        faults += injected
        results.append(replace(ledger, problems=tuple(f"{name}: {problem}" for problem in ledger.problems)))
    return group.result(total(results), faults=faults)


class _Case(GroupRun):
    """One node with one PACS as destination."""

    def __init__(self, context: FaultContext, name: str, stack: ExitStack, port: int, **section: object) -> None:
        super().__init__(context, GROUP, first_film=int.from_bytes(name.encode()[-3:], "big") * 1000)
        destinations = {"pacs": scratch.to_pacs(port, **section)}
        self.place = stack.enter_context(context.node(name, destinations=destinations))
        self.node: InProcessNode = stack.enter_context(wired_node(self.place.settings, network=ScratchNetwork))

    def store_films(self, count: int) -> None:
        """Send new films, each of which must get Success."""
        for _ in range(count):
            self.store(self.node.port)

    def check(self, *, holds: bool, otherwise: str) -> None:
        """Record a problem unless a condition holds."""
        if not holds:
            self.problems.append(otherwise)

    def end(self, pacs: SimulatedPacs) -> LedgerResult:
        """Check the ledger at the end, with earlier problems."""
        ledger = self.check_ledger(self.place, pacs)
        return replace(ledger, problems=(*self.problems, *pacs.changed, *ledger.problems))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _outage(context: FaultContext) -> tuple[int, LedgerResult]:
    """Outage of a little less than three days: deliveries resume within minutes of its end."""
    with ExitStack() as stack:
        port = _free_port()
        case = _Case(context, "outage", stack, port)
        for _ in range(4):
            case.store_films(2)
            case.node.pass_days(timedelta(hours=context.amounts.outage_hours / 4))
        case.check(holds=not case.node.failed(), otherwise="a delivery failed before 72 h")
        pacs = stack.enter_context(SimulatedPacs(port=port))
        case.node.pass_time(timedelta(minutes=5))
        reports = len(pacs.by_study)
        case.check(holds=reports == 8, otherwise=f"five minutes after the outage: {reports} of 8 reports")
        return case.node.turns, case.end(pacs)


def _long_outage(context: FaultContext) -> tuple[int, LedgerResult]:
    """Outage of more than three days: deliveries fail, stay listed, and arrive after `requeue`."""
    with ExitStack() as stack:
        port = _free_port()
        case = _Case(context, "long-outage", stack, port)
        case.store_films(2)
        case.node.pass_days(_LONG_OUTAGE)
        case.check(holds=len(case.node.failed()) == 2, otherwise="not failed after 72 h")
        pacs = stack.enter_context(SimulatedPacs(port=port))
        case.node.retry_failed()
        case.node.pass_time(timedelta(minutes=5))
        return case.node.turns, case.end(pacs)


def _slow(context: FaultContext) -> tuple[int, LedgerResult]:
    """Slow answers, also after the node's time-out: the report is sent again and stays one object."""
    waits = {1: 2.5, 2: 0.5}

    def status(request: StoreRequest) -> int:
        time.sleep(waits.get(request.times, 0.0))
        return 0

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(status=status))
        case = _Case(context, "slow", stack, pacs.port, timeout_s=1.0)
        case.store_films(2)
        case.node.pass_time(timedelta(minutes=10))
        return 4, case.end(pacs)


def _losing(context: FaultContext, *, confirm: str) -> tuple[int, LedgerResult]:
    """Success three times without storing: verification fails each time, and the delivery stays open until then."""
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(forgets=lambda request: request.times <= 3))
        case = _Case(context, f"losing-{confirm}", stack, pacs.port, confirm=confirm, confirm_again_s=30.0)
        case.store_films(3)
        case.node.run_due()
        early = case.delivered(case.node.database)
        case.check(holds=not early, otherwise="delivered by the ledger without verification")
        case.node.pass_time(timedelta(minutes=30))
        return sum(pacs.sent.values()) - len(pacs.by_study), case.end(pacs)


def _rejecting(context: FaultContext) -> tuple[int, LedgerResult]:
    """Every status in turn, then Success: deliveries are repeated by themselves or after `requeue`."""
    statuses_given: dict[str, int] = {}
    statuses = _STATUSES if context.amounts.aborts > len(_STATUSES) else _STATUSES[::5]

    def status(request: StoreRequest) -> int:
        rejection = statuses_given.setdefault(request.sop_instance_uid, statuses[len(statuses_given) % len(statuses)])
        return rejection if request.times <= 2 or rejection == _DUPLICATE else 0

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(status=status))
        case = _Case(context, "rejecting", stack, pacs.port)
        case.store_films(len(statuses))
        case.node.run_due()
        stored = {study for study in case.promised if study in pacs.by_study}
        early = ledger_check.check(case.place.settings, case.promised, pacs.by_study, allow_failed_jobs=True)
        case.check(
            holds=early.confirmed == len(stored),
            otherwise=f"{early.confirmed} delivered by the ledger, {len(stored)} stored",
        )
        for _ in range(3):
            case.node.pass_time(timedelta(minutes=10))
            case.node.retry_failed()
        case.node.pass_time(timedelta(minutes=10))
        return 2 * len(statuses), case.end(pacs)


def _aborting(context: FaultContext) -> tuple[int, LedgerResult]:
    """Cut the association at each PDU of a delivery, in both directions."""
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        proxy = stack.enter_context(cutting_proxy(pacs.port))
        case = _Case(context, "aborting", stack, proxy.port, confirm="commitment", confirm_again_s=1.0)
        faults = 0
        for mode in CutMode:
            for number in range(1, _MOST_PDUS):
                if faults >= context.amounts.aborts:
                    break
                proxy.arm(number, mode)
                case.store_films(1)
                case.node.pass_time(timedelta(minutes=3))
                faults += proxy.has_cut
                if not proxy.has_cut:
                    break
        return faults, case.end(pacs)
