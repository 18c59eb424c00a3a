"""Faults of a DICOMweb server, a RIS and a FHIR server: away, silent, lying, refusing; every report arrives once."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.simulators import dicomweb, fhir, ris
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.fhir import SimulatedFhir
from cxr_node.simulators.node import InProcessNode, wired_node
from cxr_node.simulators.ris import SimulatedRis

WEB, RIS = "DICOMweb server away, silent, lying, refusing", "RIS away, silent, refusing, answering wrongly"
FHIR = "FHIR server away, silent, lying, refusing"
_TIMEOUT_S = 2.0
_FAULT, _RECOVERY = timedelta(minutes=1), timedelta(minutes=3)


class _Receiver(Protocol):
    """A simulated receiver of results; its `mode` is set by `_set_mode`."""

    changed: list[str]

    @property
    def by_study(self) -> Mapping[str, Mapping[str, str]]: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


def web(context: FaultContext) -> GroupResult:
    """Run the faults of a DICOMweb server; QIDO-RS shows what it only claims to store."""
    with SimulatedDicomWeb() as server:
        settings = scratch.to_web(server.url, confirm="find", confirm_again_s=5.0, timeout_s=_TIMEOUT_S)
        faults = [mode for mode in dicomweb.Mode if mode is not dicomweb.Mode.RIGHT]
        return _run(context, WEB, server, settings, faults, right=dicomweb.Mode.RIGHT, first_film=40_000)


def hl7(context: FaultContext) -> GroupResult:
    """Run the faults of a RIS, which files each Message Control ID once."""
    with SimulatedRis() as receiver:
        settings = scratch.to_ris(receiver.port, timeout_s=_TIMEOUT_S)
        faults = [mode for mode in ris.Mode if mode is not ris.Mode.RIGHT]
        return _run(context, RIS, receiver, settings, faults, right=ris.Mode.RIGHT, first_film=41_000)


def resources(context: FaultContext) -> GroupResult:
    """Run the faults of a FHIR server, which has one DiagnosticReport of each study, however often it was sent."""
    with SimulatedFhir() as server:
        settings = scratch.to_fhir(server.url, timeout_s=_TIMEOUT_S)
        faults = [mode for mode in fhir.Mode if mode is not fhir.Mode.RIGHT]
        return _run(context, FHIR, server, settings, faults, right=fhir.Mode.RIGHT, first_film=42_000)


def _run(
    context: FaultContext,
    name: str,
    receiver: _Receiver,
    settings: Mapping[str, object],
    faults: Sequence[StrEnum],
    *,
    right: StrEnum,
    first_film: int,
) -> GroupResult:
    """Send a film during each fault and while the receiver is away.

    None may count as delivered that the receiver does not have; each must be there, once, after the fault.
    """
    if context.amounts.aborts < len(faults):
        faults = faults[::4]
    group = GroupRun(context, name, first_film=first_film)
    with ExitStack() as stack:
        place = stack.enter_context(context.node(str(settings["kind"]), destinations={"receiver": settings}))
        node: InProcessNode = stack.enter_context(wired_node(place.settings, network=ScratchNetwork))
        for number, fault in enumerate((None, *faults)):
            label = fault or "away"
            context.on_progress(f"{settings['kind']} {label}", number, len(faults) + 1)
            _begin(receiver, fault)
            group.store(node.port)
            node.pass_time(_FAULT)
            claimed = group.delivered(node.database) - receiver.by_study.keys()
            group.problems += [f"{label}: delivered by the ledger, and not there"] if claimed else []
            _begin(receiver, right) if fault else receiver.start()
            node.pass_time(_RECOVERY)
            node.retry_failed()
            node.pass_time(_RECOVERY)
            missing = group.promised.keys() - group.delivered(node.database)
            group.problems += [f"{label}: {len(missing)} reports not delivered after it"] if missing else []
        checked = ledger_check.check(place.settings, group.promised, receiver.by_study)
    return group.result(replace(checked, problems=(*checked.problems, *receiver.changed)), faults=len(faults) + 1)


def _begin(receiver: _Receiver, mode: StrEnum | None) -> None:
    """Set the mode of a receiver; None: it is away."""
    if mode is None:
        receiver.stop()
    else:
        receiver.mode = mode  # type: ignore[attr-defined]
