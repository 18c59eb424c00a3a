"""All settings of a node, in the order of the main path."""

from collections.abc import Iterator

from cxr_node.domain.section import Section
from cxr_node.settings.adt import AdtSection
from cxr_node.settings.dicomweb import DicomWebSection
from cxr_node.settings.export import ExportSection
from cxr_node.settings.monitoring import ConstancySection, DriftSection
from cxr_node.settings.node import (
    ArchiveSection,
    DatabaseSection,
    IdentifiersSection,
    LogSection,
    NodeSection,
    ScheduleSection,
)
from cxr_node.settings.notify import NotifySection
from cxr_node.settings.operations import AlertSection, AuditSection, OidcSection, TraceSection, WebSection
from cxr_node.settings.priors import PriorsSection
from cxr_node.settings.read import GateSection, ReadSection
from cxr_node.settings.receive import ReceiveSection
from cxr_node.settings.remote import RemoteSection
from cxr_node.settings.results import (
    ComposeSection,
    CorrectionsSection,
    DeliverSection,
    ReportSection,
)
from cxr_node.settings.senders import unknown_senders
from cxr_node.settings.ups import UpsSection

_REMOTE_REQUESTS = 6
"""Most requests for one film: readiness and a black film before it, the film, and the film in three other positions."""


class Settings(Section):
    """All settings of a node."""

    node: NodeSection = NodeSection()
    database: DatabaseSection = DatabaseSection()
    receive: ReceiveSection = ReceiveSection()
    dicomweb: DicomWebSection = DicomWebSection()
    archive: ArchiveSection = ArchiveSection()
    identifiers: IdentifiersSection = IdentifiersSection()
    gate: GateSection = GateSection()
    read: ReadSection = ReadSection()
    remote: RemoteSection = RemoteSection()
    compose: ComposeSection = ComposeSection()
    report: ReportSection = ReportSection()
    priors: PriorsSection = PriorsSection()
    corrections: CorrectionsSection = CorrectionsSection()
    adt: AdtSection = AdtSection()
    ups: UpsSection = UpsSection()
    deliver: DeliverSection = DeliverSection()
    export: ExportSection = ExportSection()
    schedule: ScheduleSection = ScheduleSection()
    drift: DriftSection = DriftSection()
    constancy: ConstancySection = ConstancySection()
    audit: AuditSection = AuditSection()
    web: WebSection = WebSection()
    oidc: OidcSection = OidcSection()
    alert: AlertSection = AlertSection()
    notify: NotifySection = NotifySection()
    trace: TraceSection = TraceSection()
    log: LogSection = LogSection()

    @property
    def database_url(self) -> str:
        """URL of the database, with its password: `database.url`, else SQLite in the data folder."""
        return self.database.full_url or f"sqlite:///{self.node.data_folder / 'node.db'}"

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting that contradicts one of another table."""
        yield from super().contradictions(key)
        yield from self._entrance_contradictions()
        yield from unknown_senders(self)
        if self.read.kind != "remote":
            return
        if not self.remote.url:
            yield 'remote.url: must be set for read.kind = "remote"'
        if self.read.cascade:
            yield 'read.cascade: with read.kind = "remote" read.bundle alone reads; remove the cascade'
        if len(self.read.devices) > 1:
            yield 'read.devices: with read.kind = "remote" one reader process serves all films; name at most one device'
        longest_s = _REMOTE_REQUESTS * self.remote.timeout_s
        if longest_s > min(self.read.timeout_s, self.read.lease_s):
            yield (
                f"remote.timeout_s: {_REMOTE_REQUESTS} requests may follow each other for one film, {longest_s:g} s, "
                "which must not exceed read.timeout_s and read.lease_s"
            )

    def _entrance_contradictions(self) -> Iterator[str]:
        """Yield a sentence for each setting of an entrance beside the Storage SCP that contradicts another table."""
        if self.adt.enabled and not self.identifiers.keep:
            yield "adt.enabled: needs identifiers.keep, or no film of a Patient ID is found"
        if self.receive.processes <= 1:
            return
        if self.adt.enabled and not self.adt.port:
            yield "adt.port: must not be 0 if receive.processes is more than 1"
        if self.dicomweb.enabled and not self.dicomweb.port:
            yield "dicomweb.port: must not be 0 if receive.processes is more than 1"
