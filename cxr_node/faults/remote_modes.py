"""Inference server faults: away, slow, another version, unusable responses; films wait or are read by the fallback."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from cxr_node import pipeline
from cxr_node.db.states import Stage
from cxr_node.domain.film import Film
from cxr_node.domain.reading import Reading
from cxr_node.faults import remote_network, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult, LedgerResult, total
from cxr_node.faults.remote_network import MODEL, VERSION, card, compute_remote
from cxr_node.process_pool.executor import InProcess
from cxr_node.queue.search import JobRow
from cxr_node.reading.context import ReadContext
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.records import films, readings
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.inference_server import Mode, SimulatedInferenceServer
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring import preprocessing
from cxr_node.wiring.remote import remote_reader

GROUP = "inference server away, slow, another version, unusable responses"
_TIMEOUT_S = 3.0
"""Of a request: a host that is busy answers within it."""
_MAXIMUM_RESPONSE_BYTES = 1 << 16
_OUTAGE, _RECOVERY, _READ = timedelta(minutes=1), timedelta(minutes=1), timedelta(seconds=10)
"""The circuit breaker probes 75 s after a fault begins, at the latest, if it has lasted a minute."""
_FIRST_FILM = 10_000
_FALLBACKS = ("hold", "local")
_AWAY = "away"
_FAULTS: tuple[Mode | str, ...] = (_AWAY, *(mode for mode in Mode if mode is not Mode.RIGHT))


def run(context: FaultContext) -> GroupResult:
    """Run every fault with films that wait, and with the fallback; compare each report with the network it names."""
    group = GroupRun(context, GROUP)
    results: list[LedgerResult] = []
    for fallback in _FALLBACKS:
        ledger = _run_with(context, fallback)
        results.append(replace(ledger, problems=tuple(f"{fallback}: {problem}" for problem in ledger.problems)))
    return group.result(total(results), faults=len(_FALLBACKS) * len(_FAULTS))


def _run_with(context: FaultContext, fallback: str) -> LedgerResult:
    with ExitStack() as stack:
        case = _Case(context, fallback, stack)
        for number, fault in enumerate(_FAULTS):
            context.on_progress(f"inference server {fault}", number, len(_FAULTS))
            case.run(fault)
        return case.end()


class _Case(GroupRun):
    """One node with one PACS and one simulated inference server."""

    def __init__(self, context: FaultContext, fallback: str, stack: ExitStack) -> None:
        super().__init__(context, GROUP, first_film=_FIRST_FILM)
        self._server = SimulatedInferenceServer(compute_remote, model=MODEL, version=VERSION)
        self._server.start()
        stack.callback(self._server.stop)
        self._pacs_folder = context.folder / f"pacs-{fallback}"
        self._pacs = stack.enter_context(SimulatedPacs(self._pacs_folder))
        remote = {"url": self._server.url, "timeout_s": _TIMEOUT_S, "maximum_response_bytes": _MAXIMUM_RESPONSE_BYTES}
        self._place = stack.enter_context(
            context.node(
                f"remote-{fallback}",
                destinations={"pacs": scratch.to_pacs(self._pacs.port)},
                sections={"read": {"kind": "remote"}, "remote": remote},
            )
        )
        self._settings, clock = self._place.settings, SimulatedClock(step=timedelta(milliseconds=1))
        self._has_fallback = fallback == "local"
        local = remote_network.fallback() if self._has_fallback else None
        self._switch = RemoteSwitch(remote_reader(self._settings, card()), local=local, clock=clock)
        self._node: InProcessNode = stack.enter_context(
            wired_node(self._settings, network=self._switch.select, held_until=self._switch.held_until, clock=clock)
        )
        self._count = context.amounts.films_per_outage

    def run(self, fault: Mode | str) -> None:
        """Send films during a fault and after it: each is reported by the fallback at once, or after the recovery."""
        self._begin(fault)
        during = self._send()
        self._node.pass_time(_OUTAGE)
        expected = len(during) if self._has_fallback else 0
        reported = len(during & self._pacs.by_study.keys())
        self._check(holds=reported == expected, otherwise=f"{fault}: {reported} films reported, not {expected}")
        self._check(holds=self._switch.trouble is not None, otherwise=f"{fault}: not noticed")
        self._end(fault)
        self._node.pass_time(_RECOVERY)
        after = self._send()
        self._node.pass_time(_READ)
        missing = (during | after) - self._pacs.by_study.keys()
        self._check(holds=not missing, otherwise=f"{fault}: {len(missing)} films without a report after it")
        self._check(holds=self._switch.trouble is None, otherwise=f"{fault}: its end is not noticed")
        by_server = {str(row.study_instance_uid) for row in self._node.jobs(Stage.READ) if self._is_by_server(row)}
        expected_by_server = after if self._has_fallback else during | after
        self._check(holds=expected_by_server <= by_server, otherwise=f"{fault}: films after it not read by the server")

    def end(self) -> LedgerResult:
        """Check every reading and report, and the ledger, with earlier problems."""
        with preprocessing.open_read_context(self._settings) as context:
            for row in self._node.jobs(Stage.READ):
                self._check_reading(row, context)
        ledger = self.check_ledger(self._place, self._pacs)
        return replace(ledger, problems=(*self.problems, *ledger.problems, *self._pacs.changed))

    def _begin(self, fault: Mode | str) -> None:
        if isinstance(fault, Mode):
            self._server.mode = fault
        else:
            self._server.stop()

    def _end(self, fault: Mode | str) -> None:
        if isinstance(fault, Mode):
            self._server.mode = Mode.RIGHT
        else:
            self._server.start()

    def _send(self) -> set[str]:
        """Send new films, each of which must get Success; return their studies."""
        earlier = set(self.promised)
        for _ in range(self._count):
            self.store(self._node.port)
        return set(self.promised) - earlier

    def _is_by_server(self, row: JobRow) -> bool:
        reading = self._reading(row)[1]
        return reading.prediction is not None and reading.prediction.model == self._switch.identity

    def _check_reading(self, row: JobRow, context: ReadContext) -> None:
        """Compare a reading with one by the network that it names, and its report with the reading."""
        film, reading = self._reading(row)
        networks = (
            remote_network.fallback(),
            remote_network.ComputedNetwork(identity=self._switch.identity, compute=compute_remote),
        )
        models = {network.identity: network for network in networks}
        if reading.prediction is None or reading.prediction.model not in models:
            self.problems.append("a film has no findings, or by an unknown network")
            return
        model = reading.prediction.model
        (expected,) = pipeline.read([film], executor=InProcess(context), network=models[model])
        self._check(holds=reading == expected, otherwise=f"a reading is not that of {model.preparation!r}")
        for uid in self._pacs.by_study.get(film.identity.study_instance_uid, {}):
            report = (self._pacs_folder / f"{uid}.dcm").read_bytes()
            named = f"preparation={model.preparation}".encode()
            self._check(holds=named in report, otherwise="a report names another network than its reading")

    def _reading(self, row: JobRow) -> tuple[Film, Reading]:
        with self._node.database.read() as connection:
            film = films.get(connection, int(row.film_id or 0))
            reading = readings.latest(connection, film.film_id, film.identity)
        if reading is None:
            raise LookupError(f"job {row.job_id} has no reading")
        return film, reading

    def _check(self, *, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)
