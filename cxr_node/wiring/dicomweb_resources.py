"""QIDO-RS and WADO-RS wired from settings: read-only rows, a process that parses films, and the audit trail."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.audit.subject import StudySubject
from cxr_node.db.database import Database
from cxr_node.dicomweb.holdings import HeaderCache, Holdings
from cxr_node.dicomweb.json_model import JsonContext
from cxr_node.dicomweb.query import Query
from cxr_node.dicomweb.retrieve import Retrieval
from cxr_node.dicomweb.routes import Resources
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.recently_seen import RecentlySeen
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.queries import identifiers
from cxr_node.queries.held_instances import HeldInstance
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.settings.root import Settings
from cxr_node.wiring import identifier_audit, preprocessing
from cxr_node.wiring.process import Process

_BUSY_TIMEOUT_S = 5.0
_STATEMENT_TIMEOUT_S = 10.0
_PARSE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnlyService:
    """Search and retrieval, of which each use is in the audit trail."""

    process: Process
    holdings: Holdings
    retrieval: Retrieval
    recorded: RecentlySeen = field(default_factory=RecentlySeen)

    def resources(self, user: str, address: str) -> Resources:
        """Return the resources for a client, whose name and address the audit trail gets."""
        return Resources(
            holdings=self.holdings,
            retrieval=self.retrieval,
            on_search=partial(self._record_search, user, address),
            on_retrieve=partial(self._record_retrieval, user, address),
        )

    def _record_search(self, user: str, address: str, query: Query) -> None:
        identifier_audit.record_search(self.process.audit, query.identifiers, by=user, address=address)

    def _record_retrieval(self, user: str, address: str, instances: Sequence[HeldInstance]) -> None:
        """Record which instances a client gets, each once an hour for an address: a viewer asks for every frame."""
        audit, now = self.process.audit, self.process.clock()
        new = [one for one in instances if self.recorded.is_new(user, address, one.sop_instance_uid, now=now)]
        if not new:
            return
        peer = AuditPeer(ae_title="", uri=user, address=address)
        audit.record(events.sent(self._subject(new), by=audit.application, to=peer, at=now))

    def _subject(self, instances: Sequence[HeldInstance]) -> StudySubject:
        with self.holdings.database.read() as connection:
            films = identifiers.of_studies(connection, {instances[0].study_id})
        by_class: dict[Uid, list[Uid]] = {}
        for instance in instances:
            by_class.setdefault(instance.sop_class_uid, []).append(instance.sop_instance_uid)
        return StudySubject(
            study_instance_uid=instances[0].study_instance_uid,
            patient_id=next((film.patient_id for film in films if film.patient_id), ""),
            accession_number=next((film.accession_number for film in films if film.accession_number), ""),
            instances=tuple((sop_class, tuple(uids)) for sop_class, uids in by_class.items()),
        )


@contextmanager
def open_json_context(settings: Settings) -> Iterator[JsonContext]:
    """Open the context of functions that parse films, in a process of its own."""
    with Process.open(settings) as process:
        yield JsonContext(archive=process.archive, limits=preprocessing.film_limits(settings))


@contextmanager
def read_only_service(process: Process) -> Iterator[ReadOnlyService]:
    """Open search and retrieval for the block; the process that parses films starts with the first request."""
    settings = process.settings
    with ExitStack() as stack:
        database = Database(
            settings.database_url,
            busy_timeout_s=_BUSY_TIMEOUT_S,
            read_only=True,
            statement_timeout_s=_STATEMENT_TIMEOUT_S,
        )
        stack.callback(database.close)
        executor: ProcessPool[JsonContext] = stack.enter_context(
            ProcessPool(
                1,
                partial(open_json_context, settings),
                timeout_s=_PARSE_TIMEOUT_S,
                memory_bytes=settings.gate.memory_bytes,
            )
        )
        holdings = Holdings(
            database=database,
            archive=process.archive,
            executor=executor,
            headers=HeaderCache(executor),
            result_modalities={kind.result_type.sop_class_uid: kind.result_type.modality for kind in RESULT_KINDS},
        )
        yield ReadOnlyService(process=process, holdings=holdings, retrieval=Retrieval(holdings=holdings))
