"""Sources of the films of procedure steps, wired from settings: what comes from them is received as by C-STORE."""

from dataclasses import dataclass, replace
from functools import partial

from cxr_node.domain.identifiers import Uid, parse_ae_title
from cxr_node.domain.instance import Sender
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorSource, SearchFailed
from cxr_node.domain.procedure_step import RetrievalPlace, StepInput
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES
from cxr_node.priors.archive import DicomArchive
from cxr_node.priors.source import PriorSourceKind, SourceContext
from cxr_node.priors.web import web_sender
from cxr_node.priors.web_server import DicomWebSource
from cxr_node.queries import step_inputs
from cxr_node.settings.root import Settings
from cxr_node.wiring.moved_films import Accept
from cxr_node.wiring.priors import record_fetched, source_context
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import accept_of, has_space
from cxr_node.work.periodic.input_retrieval import InputRetrieval


def retrieval(process: Process) -> InputRetrieval:
    """Return the retrieval of films from the sources of the settings; the audit trail records each."""
    accept, context = accept_of(process), step_source_context(process.settings)

    def opened(row: PriorSourceKind) -> StepSource:
        source = row.open(replace(context, on_fetched=partial(record_fetched, process, row)))
        return StepSource(row=row, source=source, process=process, accept=accept)

    sources = [opened(row) for row in process.settings.ups.sources]
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
    accept: Accept

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
