"""Archives that a node searches for prior films: Orthanc and DCMTK's dcmqrscp, filled with films."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydicom.dataset import Dataset

from cxr_node.composing.context import ComposeContext
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.prior_search import PriorSource
from cxr_node.priors.dicom import DicomSource
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext
from cxr_node.report.kinds import tid1500
from cxr_node.report.source import Observer
from cxr_node.work.periodic.prior_reading import PriorReading
from cxr_node.work.periodic.prior_search import PriorSearches
from tests.support import films, peers
from tests.support.node import InProcessNode
from tests.support.stub_prediction import RULES

AE_TITLE = "CXRNODE"
DAYS = 1826
SEARCHES_FOR = timedelta(hours=1)
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def film(seed: int, date: str, **changes: object) -> Dataset:
    """Return a PA film of the one patient, acquired on a day."""
    dates = {"StudyDate": date, "AcquisitionDate": date, "ContentDate": date, "AcquisitionTime": "101500"}
    return films.cr(seed=seed, changes={**dates, "StudyTime": "101400", **changes})


CURRENT = film(9, "20260301")
RIGHT = film(1, "20230302")
OTHERS = (
    film(2, "20260101", IssuerOfPatientID="ELSEWHERE"),
    film(3, "20260101", BodyPartExamined="KNEE", StudyDescription="Knee"),
    film(4, "20260101", ViewPosition="LL"),
    films.sc(seed=5, changes={"StudyDate": "20260101", "SeriesDescription": "AI results", "Modality": "OT"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorArchive:
    """A running archive."""

    ae_title: str
    port: int
    http_port: int = 0


@contextmanager
def orthanc(folder: Path, stored: Sequence[Dataset], *, port: int = 1, is_web: bool = False) -> Iterator[PriorArchive]:
    """Run an Orthanc that has films, and knows the node at a port; with its DICOMweb plug-in if it `is_web`."""
    settings: dict[str, object] = {"DicomModalities": {"node": [AE_TITLE, peers.LOOPBACK, port]}}
    if is_web:
        if not PLUGIN.is_file():
            peers.missing(PLUGIN.name, "orthanc-dicomweb")
        settings["Plugins"] = [str(PLUGIN)]
    with peers.orthanc(folder, settings=settings) as running:
        _store(folder, running.port, running.ae_title, stored)
        yield PriorArchive(ae_title=running.ae_title, port=running.port, http_port=running.http_port)


@contextmanager
def dcmqrscp(
    folder: Path, stored: Sequence[Dataset], *, port: int = 1, knows: str = AE_TITLE
) -> Iterator[PriorArchive]:
    """Run a dcmqrscp that has films, and knows an AE title at a port."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "database").mkdir()
    archive = PriorArchive(ae_title="QRSCP", port=peers.free_port())
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {archive.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = ({knows}, {peers.LOOPBACK}, {port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{archive.ae_title} {folder / 'database'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    with peers.running([peers.program("dcmqrscp"), "-c", configuration]):
        peers.until(
            lambda: peers.echoscu(archive.port, called=archive.ae_title).returncode == 0, what="an answer of dcmqrscp"
        )
        _store(folder, archive.port, archive.ae_title, stored)
        yield archive


def _store(folder: Path, port: int, ae_title: str, stored: Sequence[Dataset]) -> None:
    paths = [films.written(film, folder) for film in stored]
    sent = peers.storescu(port, *paths, called=ae_title, options=("-R",))
    assert sent.returncode == 0, sent.stderr


def dicom_source(archive: PriorArchive, *, timeout_s: float = 20.0) -> DicomSource:
    """Return the source of an archive."""
    peer = Peer(
        host=peers.LOOPBACK,
        port=archive.port,
        called_ae_title=AeTitle(archive.ae_title),
        calling_ae_title=AeTitle(AE_TITLE),
        dimse_timeout_s=timeout_s,
    )
    return DicomSource(name="archive", peer=peer)


@dataclass(slots=True)
class SearchingNode:
    """A node in this process that searches for prior films at `sources`, when `search` is called."""

    database: Database
    folder: Path
    sources: list[PriorSource] = field(default_factory=list)
    timeout_s: float = 20.0
    node: InProcessNode = field(init=False)
    searches: PriorSearches = field(init=False)
    reading: PriorReading = field(init=False)

    def __post_init__(self) -> None:
        self.node = InProcessNode(self.database, self.folder, maximum_prior_age_days=DAYS, searches_for=SEARCHES_FOR)
        archive = self.node.archive
        context = ComposeContext(archive=archive, kinds=(tid1500.REPORT,), observer=Observer())
        self.searches = PriorSearches(
            database=self.database,
            archive=archive,
            executor=InProcess(context),
            sources=lambda: self.sources,
            clock=self.node.clock,
            maximum_age_days=DAYS,
            keep=timedelta(days=30),
            timeout_s=self.timeout_s,
        )
        self.reading = PriorReading(
            self.database,
            executor=InProcess(ReadContext(archive=archive, rules=RULES)),
            network=lambda: self.node.reader,
            clock=self.node.clock,
        )

    def read(self, film: Dataset) -> None:
        """Take a film and read it."""
        self.node.accept(film)
        while self.node.turn(Stage.READ):
            pass

    def search(self) -> None:
        """Run the searches that are due, and read what was fetched; again where it was no prior film."""
        while self.searches.run():
            self.reading.run()
