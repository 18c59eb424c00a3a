"""Search for prior films wired from settings: sources, and the searches of the deliver role."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from cxr_node.audit import events
from cxr_node.composing.context import ComposeContext
from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.instance import Instance
from cxr_node.domain.prior_search import PriorSource
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND
from cxr_node.priors.source import PriorSourceKind, SourceContext
from cxr_node.process_pool.executor import Executor
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.moved_films import Arrivals
from cxr_node.wiring.process import Process
from cxr_node.work.periodic.prior_search import PriorSearches

_EXPLICIT_VR_LITTLE_ENDIAN = Uid("1.2.840.10008.1.2.1")


def source_context(settings: Settings) -> SourceContext:
    """Return what the node adds to the settings of its sources, without audit and arrivals."""
    return SourceContext(
        calling_ae_title=parse_ae_title(settings.receive.ae_title),
        maximum_object_bytes=settings.receive.maximum_object_bytes,
    )


def sources(process: Process) -> Iterator[PriorSource]:
    """Yield the sources in the order of the settings; the audit trail records their queries."""
    for row in process.settings.priors.sources:
        context = replace(
            source_context(process.settings),
            on_query=partial(_record_query, process, row),
            on_fetched=partial(record_fetched, process, row),
            arrivals=Arrivals(process=process),
        )
        yield row.open(context)


def _record_query(process: Process, row: PriorSourceKind, identifier: bytes, failure: str) -> None:
    audit, peer = process.audit, audit_decorators.peer_of(row.audit_target)
    queried = partial(events.queried, STUDY_ROOT_FIND, identifier, _EXPLICIT_VR_LITTLE_ENDIAN)
    audit.record(queried(by=audit.application, peer=peer, failure=failure, at=audit.clock()))


def record_fetched(process: Process, row: PriorSourceKind, instance: Instance) -> None:
    """Record in the audit trail that the node has retrieved an instance from a source."""
    audit = process.audit
    subject, peer = audit_decorators.subject(instance), audit_decorators.peer_of(row.audit_target)
    audit.record(events.retrieved(subject, by=audit.application, sent_by=peer, at=audit.clock()))


def prior_searches(process: Process, executor: Executor[ComposeContext]) -> PriorSearches:
    """Return the searches for prior films; `executor` parses the films."""
    section = process.settings.priors
    before_removal = audit_decorators.before_removal(process.audit)
    return PriorSearches(
        database=process.database,
        archive=process.archive,
        executor=executor,
        sources=lambda: list(sources(process)),
        clock=process.clock,
        maximum_age_days=section.maximum_age_days,
        keep=timedelta(days=section.keep_days),
        timeout_s=section.timeout_s,
        before_removal=lambda content: before_removal([content]),
    )
