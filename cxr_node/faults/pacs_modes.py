"""A PACS that is away for days, slow, forgetful, unwilling, or ends the association at any PDU."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

from cxr_node.faults import ledger_check as balance
from cxr_node.faults import scratch
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.load import send
from cxr_node.faults.outcome import LedgerCheck, Outcome
from cxr_node.faults.proxy import How, line
from cxr_node.faults.simulated_node import SimulatedNode, simulated_node
from cxr_node.simulators.pacs import SimulatedPacs, StoreRequest

GROUP = "PACS away, slow, lying, refusing, aborting"
_BEYOND = timedelta(hours=80)
_STATUSES = (
    *(0x0105, 0x0106, 0x0107, 0x0110, 0x0111, 0x0112, 0x0115, 0x0116, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121),
    *(0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213, 0x0001, 0xA700, 0xA7FF, 0xA900, 0xA9FF, 0xB000, 0xB006, 0xB007),
    *(0xC000, 0xC123, 0xCFFF, 0xFE00, 0xFF00, 0x4242),
)
"""Every general status of PS3.7 annex C, those of C-STORE (PS3.4 table B.2-1), and two that mean nothing here."""
_DUPLICATE = 0x0111
_MOST_PDUS = 40
_LONG_AWAY_H = 70.0
"""A PACS that is to be away for less than this is not tried beyond three days either."""


def run(bench: FaultContext) -> Outcome:
    """Let a PACS do each of these to one node after the other; draw the balance of each."""
    parts: dict[str, Callable[[FaultContext, str], tuple[int, LedgerCheck]]] = {
        "away": _away,
        "beyond": _beyond,
        "slow": _slow,
        "lying to storage commitment": partial(_lying, confirm="commitment"),
        "lying to C-FIND": partial(_lying, confirm="find"),
        "refusing": _refusing,
        "aborting": _aborting,
    }
    balances: list[LedgerCheck] = []
    faults = 0
    if bench.amounts.hours_away < _LONG_AWAY_H:
        parts.pop("beyond")
    with stopwatch() as seconds:
        for number, (name, part) in enumerate(parts.items()):
            bench.tell(f"PACS {name}", number, len(parts))
            with bench.database_url() as url:
                injected, drawn = part(bench, url)
            faults += injected
            balances.append(replace(drawn, problems=tuple(f"{name}: {problem}" for problem in drawn.problems)))
    return Outcome(
        group=GROUP,
        database=bench.kind,
        faults=faults,
        films=sum(each.films for each in balances),
        confirmed=sum(each.confirmed for each in balances),
        lost=sum(len(each.lost) for each in balances),
        doubled=sum(len(each.doubled) for each in balances),
        problems=tuple(problem for each in balances for problem in each.problems),
        seconds=seconds(),
    )


class _Case:
    """One node with one PACS, and what was promised."""

    def __init__(
        self, bench: FaultContext, url: str, name: str, stack: ExitStack, port: int, **section: object
    ) -> None:
        to = scratch.to_pacs(port, **section)
        self.place = scratch.place(
            bench.folder / name, receives=bench.receives, database_url=url, destinations={"pacs": to}
        )
        self.node: SimulatedNode = stack.enter_context(simulated_node(self.place))
        self.promised: dict[str, str] = {}
        self.problems: list[str] = []
        self._bench = bench
        self._first = int.from_bytes(name.encode()[-3:], "big") * 1000

    def send(self, count: int = 1) -> None:
        """Send new films, each of which must get Success."""
        for _ in range(count):
            film = self._bench.films.make(self._first + len(self.promised))
            status = send(film, self.node.port)
            if status != 0:
                self.problems.append(f"a film got status {status}")
                continue
            self.promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)

    def check(self, *, holds: bool, otherwise: str) -> None:
        """Note a problem where something does not hold."""
        if not holds:
            self.problems.append(otherwise)

    def balance(self, pacs: SimulatedPacs) -> LedgerCheck:
        """Return the balance at the end, with what went wrong before."""
        drawn = balance.drawn(self.place.settings, self.promised, pacs.by_study)
        return replace(drawn, problems=(*self.problems, *drawn.problems, *pacs.changed))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _away(bench: FaultContext, url: str) -> tuple[int, LedgerCheck]:
    """Away for a little less than three days: what waits goes by itself when it is back, within minutes."""
    with ExitStack() as stack:
        port = _free_port()
        case = _Case(bench, url, "away", stack, port)
        for _ in range(4):
            case.send(2)
            case.node.pass_days(timedelta(hours=bench.amounts.hours_away / 4))
        case.check(holds=not case.node.failed(), otherwise="given up before 72 h")
        pacs = stack.enter_context(SimulatedPacs(port=port))
        case.node.pass_time(timedelta(minutes=5))
        case.check(holds=len(pacs.by_study) == 8, otherwise=f"five minutes after: {len(pacs.by_study)} of 8 reports")
        return case.node.turns, case.balance(pacs)


def _beyond(bench: FaultContext, url: str) -> tuple[int, LedgerCheck]:
    """Away for longer than that: a person must look, nothing is forgotten, and `requeue` brings it there."""
    with ExitStack() as stack:
        port = _free_port()
        case = _Case(bench, url, "beyond", stack, port)
        case.send(2)
        case.node.pass_days(_BEYOND)
        case.check(holds=len(case.node.failed()) == 2, otherwise="not left for a person after 72 h")
        pacs = stack.enter_context(SimulatedPacs(port=port))
        case.node.retry_failed()
        case.node.pass_time(timedelta(minutes=5))
        return case.node.turns, case.balance(pacs)


def _slow(bench: FaultContext, url: str) -> tuple[int, LedgerCheck]:
    """Answers late, and so late that the node has hung up: it is sent again and stays one object."""
    waits = {1: 2.5, 2: 0.5}

    def status(request: StoreRequest) -> int:
        time.sleep(waits.get(request.times, 0.0))
        return 0

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(status=status))
        case = _Case(bench, url, "slow", stack, pacs.port, timeout_s=1.0)
        case.send(2)
        case.node.pass_time(timedelta(minutes=10))
        return 4, case.balance(pacs)


def _lying(bench: FaultContext, url: str, *, confirm: str) -> tuple[int, LedgerCheck]:
    """Says Success three times and keeps nothing: it is found out each time, and the film is on the way until then."""
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(forgets=lambda request: request.times <= 3))
        case = _Case(bench, url, f"lying-{confirm}", stack, pacs.port, confirm=confirm, confirm_again_s=30.0)
        case.send(3)
        case.node.work()
        early = balance.drawn(case.place.settings, case.promised, {})
        case.check(holds=not early.confirmed, otherwise="taken for delivered on a word")
        case.node.pass_time(timedelta(minutes=30))
        return sum(pacs.sent.values()) - len(pacs.by_study), case.balance(pacs)


def _refusing(bench: FaultContext, url: str) -> tuple[int, LedgerCheck]:
    """Gives every status in turn, then takes it: tried again by itself, or after a person has looked."""
    refused: dict[str, int] = {}
    statuses = _STATUSES if bench.amounts.aborts > len(_STATUSES) else _STATUSES[::5]

    def status(request: StoreRequest) -> int:
        refusal = refused.setdefault(request.sop_instance_uid, statuses[len(refused) % len(statuses)])
        return refusal if request.times <= 2 or refusal == _DUPLICATE else 0

    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs(status=status))
        case = _Case(bench, url, "refusing", stack, pacs.port)
        case.send(len(statuses))
        case.node.work()
        taken = {study for study in case.promised if study in pacs.by_study}
        early = balance.drawn(case.place.settings, case.promised, pacs.by_study, failed_is_fine=True)
        case.check(holds=early.confirmed == len(taken), otherwise=f"{early.confirmed} taken for delivered")
        for _ in range(3):
            case.node.pass_time(timedelta(minutes=10))
            case.node.retry_failed()
        case.node.pass_time(timedelta(minutes=10))
        return 2 * len(statuses), case.balance(pacs)


def _aborting(bench: FaultContext, url: str) -> tuple[int, LedgerCheck]:
    """Every PDU of a delivery, in both directions, is once the last of its association."""
    with ExitStack() as stack:
        pacs = stack.enter_context(SimulatedPacs())
        between = stack.enter_context(line(pacs.port))
        case = _Case(bench, url, "aborting", stack, between.port, confirm="commitment", confirm_again_s=1.0)
        faults = 0
        for how in How:
            for number in range(1, _MOST_PDUS):
                if faults >= bench.amounts.aborts:
                    break
                between.arm(number, how)
                case.send()
                case.node.pass_time(timedelta(minutes=3))
                faults += between.has_cut
                if not between.has_cut:
                    break
        return faults, case.balance(pacs)
