"""Sources of the films of procedure steps, wired from settings: what comes from them is received as by C-STORE."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.instance import Received, Sender
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorSource, SearchFailed
from cxr_node.domain.procedure_step import RetrievalPlace, StepInput
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.priors.archive import DicomArchive
from cxr_node.priors.source import PriorSourceKind, SourceContext
from cxr_node.priors.web import web_sender
from cxr_node.priors.web_server import DicomWebSource
from cxr_node.queries import step_inputs
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.priors import source_context
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import accept_of, has_space
from cxr_node.work.periodic.input_retrieval import InputRetrieval


def retrieval(process: Process) -> InputRetrieval:
    """Return the retrieval of films from the sources of the settings."""
    accept = audit_decorators.audited_accept(process.audit, accept_of(process))
    context = step_source_context(process.settings)
    sources = [
        StepSource(row=row, source=row.open(context), process=process, accept=accept)
        for row in process.settings.ups.sources
    ]
    return InputRetrieval(
        sources=lambda: sources, clock=process.clock, timeout_s=process.settings.ups.retrieve_timeout_s
    )


def step_source_context(settings: Settings) -> SourceContext:
    """Return what the node adds to the settings of a source: films of each class may be inputs."""
    return replace(source_context(settings), sop_classes=STORAGE_SOP_CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSource:
    """A source of the settings; see `InputSource`. Requests go to its own address, never to that of a step."""

    row: PriorSourceKind
    source: PriorSource
    process: Process
    accept: Callable[[Received, Sender], None]

    @property
    def name(self) -> str:
        """Name in the settings."""
        return self.row.name

    def is_at(self, place: RetrievalPlace) -> bool:
        """Whether a place has the AE title, or a URL below that, of this source."""
        match self.row:
            case DicomArchive():
                return place.ae_title is not None and place.ae_title == parse_ae_title(self.row.ae_title)
            case DicomWebSource():
                return place.url.startswith(f"{self.row.url.rstrip('/')}/")
            case _:
                return False

    def fetch(self, film: StepInput, *, until: float) -> None:
        """Retrieve a film and store it, or let it come by C-MOVE; see `InputSource.fetch`."""
        wanted = Candidate(
            study_instance_uid=Uid(film.study_instance_uid),
            series_instance_uid=Uid(film.series_instance_uid),
            sop_instance_uid=film.sop_instance_uid,
            date="",
            time="",
        )
        try:
            instance = self.source.fetch(wanted, until=until)
        except FilmNotSent:
            with self.process.database.read() as connection:
                if step_inputs.held(connection, [film.sop_instance_uid]):
                    return  # it came to the receive role by C-MOVE
            raise
        if instance.identity.sop_instance_uid != film.sop_instance_uid:
            raise FilmNotSent("sent another instance")
        if not has_space(self.process.settings, instance.size_bytes):
            raise SearchFailed("no space on this node")
        self.accept(instance, self._sender())

    def _sender(self) -> Sender:
        """Return the sender of a film, as its File Meta Information has it."""
        context = source_context(self.process.settings)
        if isinstance(self.row, DicomArchive):
            own = parse_ae_title(self.row.calling_ae_title) if self.row.calling_ae_title else context.calling_ae_title
            title = parse_ae_title(self.row.ae_title)
            return Sender(calling_ae_title=title, called_ae_title=own, address=self.row.host)
        return web_sender(self.row.audit_target.host, context.calling_ae_title)
