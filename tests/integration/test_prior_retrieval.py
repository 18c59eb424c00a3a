"""Retrieval of prior films: C-MOVE to the receive role, QIDO-RS and WADO-RS, and the audit trail of each."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cxr_node.audit.message import AuditMessage
from cxr_node.config import load
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import AeTitle, parse_uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.prior_search import FilmNotSent, PriorQuery, PriorSource, SearchFailed
from cxr_node.ops.checks import priors as checks
from cxr_node.ops.checks.node import Status
from cxr_node.queries import archived
from cxr_node.records import fetched_films
from cxr_node.wiring import priors as wiring
from cxr_node.wiring.moved_films import Arrivals
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from tests.support import films, peers, prior_archives
from tests.support.node import received
from tests.support.prior_archives import AE_TITLE, CURRENT, OTHERS, RIGHT, PriorArchive, SearchingNode
from tests.support.running_node import settings_file

OpenArchive = Callable[..., AbstractContextManager[PriorArchive]]
QUERY = PriorQuery(
    patient_id=str(CURRENT.PatientID),
    issuer="",
    patient_key=received(CURRENT).identity.patient_key,
    study_instance_uid=parse_uid(CURRENT.StudyInstanceUID),
    view=View.PA,
    date="20260301",
    time="",
    earliest="20210301",
)


def _dicom_table(archive: PriorArchive, retrieve: str) -> str:
    address = f'host = "127.0.0.1"\nport = {archive.port}\nae_title = "{archive.ae_title}"\n'
    return f'[[priors.sources]]\nkind = "dicom"\nname = "archive"\nretrieve = {retrieve}\n{address}'


def _web_table(archive: PriorArchive) -> str:
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web"
    return f'[[priors.sources]]\nkind = "dicomweb"\nname = "archive"\nurl = "{url}"\n'


@dataclass(slots=True, kw_only=True)
class Receiving:
    """A receive role on a port, a source of its settings, and what its audit trail has recorded."""

    process: Process
    source: PriorSource
    recorded: list[AuditMessage] = field(default_factory=list)

    def fetch(self, timeout_s: float = 20.0) -> Instance:
        """Fetch the right film of those that the source offers."""
        until = time.monotonic() + timeout_s
        (right,) = [
            one for one in self.source.candidates(QUERY, until=until) if one.sop_instance_uid == RIGHT.SOPInstanceUID
        ]
        return self.source.fetch(right, until=until)

    def newest_film(self) -> archived.NewestFilm | None:
        """Return the newest received film."""
        with self.process.database.read() as connection:
            return archived.newest_film(connection)


@contextmanager
def receiving(folder: Path, migrated_file: Path, port: int, source_table: str) -> Iterator[Receiving]:
    settings = load(settings_file(folder, port=port, more=f"[priors]\ncompare = true\n{source_table}"))
    settings.node.data_folder.mkdir(parents=True)
    shutil.copyfile(migrated_file, settings.node.data_folder / "node.db")
    recorded: list[AuditMessage] = []
    with Process.open(settings) as opened:
        process = replace(opened, audit=replace(opened.audit, record=recorded.append))
        (source,) = wiring.sources(process)
        with receiver(process):
            yield Receiving(process=process, source=source, recorded=recorded)


@pytest.mark.parametrize("opened", [prior_archives.orthanc, prior_archives.dcmqrscp])
def test_a_film_that_comes_by_c_move_is_no_received_film(
    opened: OpenArchive, migrated_file: Path, tmp_path: Path
) -> None:
    port = peers.free_port()
    with (
        opened(tmp_path / "archive", (*OTHERS, RIGHT), port=port) as archive,
        receiving(tmp_path / "node", migrated_file, port, _dicom_table(archive, '["move"]')) as node,
    ):
        instance = node.fetch()
        again = node.fetch()

    assert instance.identity == received(RIGHT).identity
    assert instance.digest == again.digest
    assert node.newest_film() is None
    transferred = [one for one in node.recorded if one.event.meaning == "DICOM Instances Transferred"]
    assert len(transferred) == 1
    assert [one.event.meaning for one in node.recorded].count("Query") >= 3


def test_a_film_of_another_sender_is_received(migrated_file: Path, tmp_path: Path) -> None:
    """Only what comes from the archive that was asked is kept apart, and nothing but what was asked for."""
    port = peers.free_port()
    archive = PriorArchive(ae_title="ARCHIVE", port=1)
    with receiving(tmp_path / "node", migrated_file, port, _dicom_table(archive, '["move"]')) as node:
        uid = parse_uid(RIGHT.SOPInstanceUID)
        Arrivals(process=node.process).expect(uid, AeTitle("ARCHIVE"))
        path = films.written(RIGHT, tmp_path)
        assert peers.storescu(port, path, called=AE_TITLE, calling="ARCHIVE").returncode == 0
        assert node.newest_film() is None
        assert peers.storescu(port, path, called=AE_TITLE, calling="MODALITY").returncode == 0
        first = node.newest_film()
        other = films.written(OTHERS[0], tmp_path)
        assert peers.storescu(port, other, called=AE_TITLE, calling="ARCHIVE").returncode == 0
        second = node.newest_film()

    assert first is not None
    assert second is not None
    assert second.film_id > first.film_id


def test_an_archive_that_does_not_know_the_node_is_named(migrated_file: Path, tmp_path: Path) -> None:
    port = peers.free_port()
    with (
        prior_archives.dcmqrscp(tmp_path / "archive", (RIGHT,), knows="OTHER") as archive,
        receiving(tmp_path / "node", migrated_file, port, _dicom_table(archive, '["move"]')) as node,
        pytest.raises(FilmNotSent, match="does not know CXRNODE as C-MOVE destination"),
    ):
        node.fetch()


@pytest.fixture(scope="module")
def web_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PriorArchive]:
    folder = tmp_path_factory.mktemp("web")
    with prior_archives.orthanc(folder, (*OTHERS, RIGHT), is_web=True) as running:
        yield running


def test_of_five_candidates_of_a_web_archive_the_right_one_is_fetched(
    web_archive: PriorArchive, migrated_file: Path, tmp_path: Path
) -> None:
    with receiving(tmp_path / "web", migrated_file, peers.free_port(), _web_table(web_archive)) as web:
        node = SearchingNode(web.process.database, tmp_path / "node", [web.source])
        node.read(CURRENT)
        node.search()
        with web.process.database.read() as connection:
            prior = fetched_films.prior_of(connection, 1)

    assert prior is not None
    assert prior[0].film.identity == received(RIGHT).identity
    events = [message.event.meaning for message in web.recorded]
    assert events.count("Query") >= 3
    assert events[-1] == "DICOM Instances Transferred"
    assert b"CXR-TEST-0001" in (web.recorded[0].objects[0].query or b"")


def test_a_web_archive_sends_the_data_set_that_it_stored(
    web_archive: PriorArchive, migrated_file: Path, tmp_path: Path
) -> None:
    with receiving(tmp_path / "web", migrated_file, peers.free_port(), _web_table(web_archive)) as web:
        assert web.fetch().digest == received(RIGHT).digest


def test_a_web_archive_that_is_away_is_named_and_asked_later(
    web_archive: PriorArchive, migrated_file: Path, tmp_path: Path
) -> None:
    away = replace(web_archive, http_port=9)
    with receiving(tmp_path / "web", migrated_file, peers.free_port(), _web_table(away)) as web:
        with pytest.raises(SearchFailed, match=r"no connection to 127\.0\.0\.1:9"):
            web.fetch()
        (check,) = checks.sources(web.process.settings)
    assert check.status is Status.PROBLEM
    assert [one.event.meaning for one in web.recorded] == ["Query"]


def test_the_doctor_asks_a_web_archive(web_archive: PriorArchive, tmp_path: Path) -> None:
    settings = settings_file(tmp_path / "node", more=f"[priors]\ncompare = true\n{_web_table(web_archive)}")
    (check,) = checks.sources(load(settings))
    assert (check.status, check.message.rpartition(" ")[2]) == (Status.OK, "200")
