"""Films of procedure steps that have not come: retrieved from archives of the settings, and received as by C-STORE."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from cxr_node.audit.message import AuditMessage
from cxr_node.config import ConfigurationError, load
from cxr_node.db.database import Database
from cxr_node.domain.codes import dcm
from cxr_node.domain.procedure_step import RetrievalPlace, StepInput
from cxr_node.ops.checks import ups as checks
from cxr_node.ops.checks.node import Status
from cxr_node.queries import archived, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.dicomweb import SimulatedDicomWeb
from cxr_node.simulators.query_archive import Mode, SimulatedArchive
from cxr_node.simulators.worklist import SimulatedWorklist
from cxr_node.simulators.worklist_steps import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, step_uid
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import receiver
from cxr_node.wiring.ups import procedure_steps
from cxr_node.work.periodic.input_retrieval import InputRetrieval
from cxr_node.work.periodic.procedure_steps import ProcedureSteps
from tests.support import films, peers, prior_archives
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import settings_file
from tests.support.worklists import worklist_of

pytestmark = pytest.mark.ci_on_postgresql


FILM = films.cr(seed=9)
STEP = step_uid(1)


@dataclass(slots=True, kw_only=True)
class Performer:
    """A node that performs the steps of a worklist, and what its audit trail has recorded."""

    process: Process
    clock: SimulatedClock
    steps: ProcedureSteps
    recorded: list[AuditMessage] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """Return the row of the one step."""
        with self.process.database.read() as connection:
            (only,) = view_rows.rows(connection, VIEWS["v1_worklist_steps"])
            return dict(only)

    def newest_film(self) -> archived.NewestFilm | None:
        """Return the newest received film."""
        with self.process.database.read() as connection:
            return archived.newest_film(connection)


@contextmanager
def performing(
    folder: Path, migrated_file: Path, manager: SimulatedWorklist, sources: str, *, port: int = 0, listens: bool = False
) -> Iterator[Performer]:
    worklist = (
        f'[ups]\ninput_wait_s = 600\n[[ups.worklists]]\nkind = "dicom"\nname = "ris"\nhost = "127.0.0.1"\n'
        f'port = {manager.port}\nae_title = "WORKLIST"\nworkitem = "110003^DCM^Computer Aided Diagnosis"\n'
    )
    settings = load(settings_file(folder, port=port or peers.free_port(), more=worklist + sources))
    settings.node.data_folder.mkdir(parents=True)
    shutil.copyfile(migrated_file, settings.node.data_folder / "node.db")
    recorded: list[AuditMessage] = []
    clock = SimulatedClock(NOON)
    with Process.open(settings, clock=clock) as opened:
        process = replace(opened, audit=replace(opened.audit, record=recorded.append))
        performer = Performer(process=process, clock=clock, steps=procedure_steps(process), recorded=recorded)
        if not listens:
            yield performer
            return
        with receiver(process):
            yield performer


@pytest.fixture
def manager() -> Iterator[SimulatedWorklist]:
    with SimulatedWorklist() as running:
        yield running


@pytest.fixture
def archive() -> Iterator[SimulatedArchive]:
    with SimulatedArchive() as running:
        running.films = [films.cr(seed=3), FILM]
        yield running


def dicom_source(port: int, retrieve: str = '["get"]') -> str:
    address = f'host = "127.0.0.1"\nport = {port}\nae_title = "ARCHIVE"\ntimeout_s = 5\n'
    return f'[[ups.sources]]\nkind = "dicom"\nname = "archive"\nretrieve = {retrieve}\n{address}'


def web_source(url: str) -> str:
    return f'[[ups.sources]]\nkind = "dicomweb"\nname = "web"\nurl = "{url}"\n'


def test_a_film_comes_by_c_get(
    manager: SimulatedWorklist, archive: SimulatedArchive, migrated_file: Path, tmp_path: Path
) -> None:
    manager.add(STEP, [FILM])
    with performing(tmp_path, migrated_file, manager, dicom_source(archive.port)) as node:
        node.steps.run()
        node.steps.run()
        row, film = node.row(), node.newest_film()

    assert (row["state"], row["detail"], row["held_films"]) == ("in_progress", "films in progress: 1", 1)
    assert film is not None
    assert archive.sent == 1
    transferred = [one for one in node.recorded if one.event.meaning == "DICOM Instances Transferred"]
    assert len(transferred) == 1


def test_a_film_comes_by_wado_rs(manager: SimulatedWorklist, migrated_file: Path, tmp_path: Path) -> None:
    with SimulatedDicomWeb() as server:
        server.files[str(FILM.SOPInstanceUID)] = films.written(FILM, tmp_path).read_bytes()
        manager.add(STEP, [FILM], url=server.url)
        with performing(tmp_path / "node", migrated_file, manager, web_source(server.url)) as node:
            node.steps.run()
            row = node.row()

    assert (row["detail"], row["held_films"]) == ("films in progress: 1", 1)


def test_a_film_comes_by_c_move_to_the_receive_role(
    manager: SimulatedWorklist, migrated_file: Path, tmp_path: Path
) -> None:
    """It is a received film, unlike a prior film that comes so."""
    manager.add(STEP, [FILM])
    port = peers.free_port()
    with (
        prior_archives.dcmqrscp(tmp_path / "archive", (FILM,), port=port) as archive,
        performing(
            tmp_path / "node",
            migrated_file,
            manager,
            dicom_source(archive.port, '["move"]').replace("ARCHIVE", archive.ae_title),
            port=port,
            listens=True,
        ) as node,
    ):
        (item,) = manager.steps[STEP].attributes.InputInformationSequence
        item.DICOMRetrievalSequence[0].RetrieveAETitle = archive.ae_title
        node.steps.run()
        node.steps.run()
        row = node.row()

    assert (row["detail"], row["held_films"]) == ("films in progress: 1", 1)


@pytest.mark.parametrize(
    ("mode", "detail"),
    [
        (Mode.SENDS_NOTHING, "archive: ARCHIVE at 127.0.0.1 port PORT answered C-GET with status 0x0000"),
        (Mode.ABORTS, "archive: ARCHIVE at 127.0.0.1 port PORT answered C-GET with no status"),
    ],
)
def test_a_step_states_why_a_film_was_not_retrieved(
    mode: Mode,
    detail: str,
    manager: SimulatedWorklist,
    archive: SimulatedArchive,
    migrated_file: Path,
    tmp_path: Path,
) -> None:
    """It is asked for again, and the step is canceled with the reason when its time is over."""
    manager.add(STEP, [FILM])
    archive.mode = mode
    with performing(tmp_path, migrated_file, manager, dicom_source(archive.port)) as node:
        node.steps.run()
        waiting = str(node.row()["detail"])
        archive.mode = Mode.RIGHT
        node.steps.run()
        sent_at_once = archive.sent
        archive.mode = mode
        node.clock.advance(seconds=601)
        node.steps.run()
        ended = node.row()

    detail = detail.replace("PORT", str(archive.port))
    assert waiting.startswith(f"films that have not come: 1; {detail}")
    assert sent_at_once == 0
    assert (ended["state"], ended["reason"]) == ("canceled", "110523")
    assert str(ended["detail"]).startswith(f"films that have not come in time: 1; {detail}")
    assert manager.states() == {STEP: CANCELED}


def test_an_archive_that_the_settings_do_not_name_is_not_asked(
    manager: SimulatedWorklist, archive: SimulatedArchive, migrated_file: Path, tmp_path: Path
) -> None:
    """A URL that only begins like that of a source is another server."""
    manager.add(STEP, [FILM])
    manager.add(step_uid(2), [FILM], url="http://127.0.0.1:9/dicom-webber")
    with performing(tmp_path, migrated_file, manager, web_source("http://127.0.0.1:9/dicom-web")) as node:
        node.steps.run()
        with node.process.database.read() as connection:
            details = {str(row["detail"]) for row in view_rows.rows(connection, VIEWS["v1_worklist_steps"])}

    beginning = "films that have not come: 1; the step names no source of the settings, but"
    assert f"{beginning} AE title ARCHIVE" in details
    assert f"{beginning} http://127.0.0.1:9/dicom-webber" in details


def test_a_step_whose_film_was_retrieved_is_completed(
    database: Database, manager: SimulatedWorklist, tmp_path: Path
) -> None:
    node = InProcessNode(database, tmp_path)

    class Source:
        name = "archive"

        def is_at(self, place: RetrievalPlace) -> bool:
            return place.ae_title == "ARCHIVE"

        def fetch(self, film: StepInput, *, until: float) -> None:
            assert (film.study_instance_uid, until) == (str(FILM.StudyInstanceUID), 60.0)
            node.accept(FILM)

    manager.add(STEP, [FILM])
    steps = ProcedureSteps(
        database=database,
        worklists=lambda: [worklist_of(manager)],
        retrievals=dict,
        station=dcm("CXR1", "CXR1"),
        clock=lambda: node.clock.now,
        maximum_steps=8,
        input_wait=timedelta(minutes=10),
        retrieval=InputRetrieval(sources=lambda: [Source()], clock=lambda: node.clock.now, timer=lambda: 0.0),
    )
    steps.run()
    node.work()
    steps.run()

    assert manager.steps[STEP].states == [SCHEDULED, IN_PROGRESS, COMPLETED]
    assert manager.steps[STEP].progress == ["30", "90", "100"]


def test_doctor_checks_sources_of_films(manager: SimulatedWorklist, archive: SimulatedArchive, tmp_path: Path) -> None:
    worklist = (
        f'[[ups.worklists]]\nkind = "dicom"\nname = "ris"\nhost = "127.0.0.1"\nport = {manager.port}\n'
        'ae_title = "WORKLIST"\nworkitem = "110003^DCM^Computer Aided Diagnosis"\n'
    )
    good, bad = (
        list(checks.worklists(load(settings_file(tmp_path / str(port), more=worklist + dicom_source(port)))))[1]
        for port in (archive.port, 9)
    )
    with pytest.raises(ConfigurationError, match=r"ups.sources .*: needs ups.worklists"):
        load(settings_file(tmp_path / "none", more=dicom_source(archive.port)))

    assert (good.status, bad.status) == (Status.OK, Status.PROBLEM)
    assert good.name == "films of steps from archive"
