"""Performer of Unified Procedure Steps, wired from settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.deliver.cstore import CStore
from cxr_node.deliver.stow import Stow
from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import PRIVATE_SCHEME
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.procedure_step import RetrievalPlace, Worklist
from cxr_node.domain.sop_classes import UPS_PULL
from cxr_node.settings.root import Settings
from cxr_node.ups.worklist import WorklistContext, WorklistKind, code_of
from cxr_node.wiring import audit_decorators, step_sources
from cxr_node.wiring.process import Process
from cxr_node.work.periodic.procedure_steps import ProcedureSteps

_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")


def procedure_steps(process: Process) -> ProcedureSteps:
    """Return the performer of the worklists of the settings."""
    section = process.settings.ups
    managers = [_audited(process, row) for row in section.worklists]
    return ProcedureSteps(
        database=process.database,
        worklists=lambda: managers,
        retrievals=process.live.derived(retrievals),
        station=station(process.settings),
        clock=process.clock,
        maximum_steps=section.maximum_steps,
        input_wait=timedelta(seconds=section.input_wait_s),
        retrieval=step_sources.retrieval(process),
    )


def worklist_context(settings: Settings) -> WorklistContext:
    """Return what the node adds to the settings of its worklists, without audit."""
    return WorklistContext(calling_ae_title=parse_ae_title(settings.receive.ae_title))


def station(settings: Settings) -> Code:
    """Return the Performed Station Name Code."""
    title = settings.receive.ae_title
    return code_of(settings.ups.station) or Code(value=title, scheme_designator=PRIVATE_SCHEME, meaning=title)


def retrievals(settings: Settings) -> Mapping[str, RetrievalPlace]:
    """Return where results can be retrieved from, by the name of the destination: archives and DICOMweb servers."""
    places: dict[str, RetrievalPlace] = {}
    for row in settings.deliver.destinations:
        if isinstance(row, CStore):
            places[row.name] = RetrievalPlace(ae_title=parse_ae_title(row.ae_title))
        elif isinstance(row, Stow):
            places[row.name] = RetrievalPlace(url=row.url)
    return places


def _audited(process: Process, row: WorklistKind) -> Worklist:
    peer = audit_decorators.peer_of(row.audit_target)
    context = replace(
        worklist_context(process.settings),
        on_query=_Queries(process=process, peer=peer).record,
        on_change=partial(_record_change, process, peer),
    )
    return row.open(context)


@dataclass(slots=True, kw_only=True)
class _Queries:
    """Records queries of a worklist that found steps, and the first that ends otherwise than the one before."""

    process: Process
    peer: AuditPeer
    last_failure: str | None = None

    def record(self, identifier: bytes, steps: int, failure: str) -> None:
        """Record a query, unless it found nothing and ended as the one before."""
        is_as_before, self.last_failure = failure == self.last_failure, failure
        if is_as_before and not steps:
            return
        audit = self.process.audit
        queried = partial(events.queried, UPS_PULL, identifier, _EXPLICIT_VR_LITTLE_ENDIAN)
        audit.record(queried(by=audit.application, peer=self.peer, failure=failure, at=audit.clock()))


def _record_change(process: Process, peer: AuditPeer, step: Uid, state: str, failure: str) -> None:
    audit = process.audit
    record = partial(events.procedure_record, step, state=state, failure=failure)
    audit.record(record(by=audit.application, peer=peer, at=audit.clock()))
