"""The same SOP Instance UID again: the same film, a correction, or another film."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.states import Stage, State
from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.instance import Instance
from cxr_node.domain.reasons import Reason
from cxr_node.pipeline import accept
from cxr_node.queries import overview
from cxr_node.queries.metrics import films_not_analysed
from cxr_node.queries.study_status import study_status
from cxr_node.receive.identify import identify_with_values
from cxr_node.report.corrections import corrected_attributes
from tests.support import films
from tests.support.node import ATTRIBUTE_RULES, InProcessNode
from tests.support.odd_encodings import EXPLICIT, IMPLICIT, data_set_of, file_of
from tests.support.pixel_films import encoded
from tests.support.queue import SENDER
from tests.support.running_node import opened, settings_file

pytestmark = pytest.mark.ci_on_postgresql

OTHER_STUDY = derive_uid("test study", "corrected")


class Site:
    """A node with its settings, for the command line."""

    def __init__(self, node: InProcessNode, config: Path) -> None:
        self.node, self.config = node, config

    def send(self, film: Dataset, syntax: str = EXPLICIT) -> None:
        """Send a film and run every job."""
        data_set = data_set_of(film, syntax)
        identity, values = identify_with_values(memoryview(data_set), transfer_syntax_uid=Uid(syntax))
        content = file_of(data_set, syntax)
        instance = Instance(
            identity=identity,
            transfer_syntax_uid=Uid(syntax),
            digest=digest_of(data_set),
            content=content,
            header_values=values,
        )
        node = self.node
        attributes = ATTRIBUTE_RULES.attributes
        accept(
            instance,
            SENDER,
            archive=node.archive,
            database=node.database,
            attributes=attributes,
            clock=node.clock,
        )
        node.work()

    def outcomes(self) -> list[str]:
        """Return state or reason of each film, in the order of reception."""
        jobs = sorted(self.node.jobs(Stage.READ), key=lambda job: job.job_id)
        return ["read" if job.state is State.DONE else str(job.reason) for job in jobs]

    def reports(self) -> list[Dataset]:
        return [dcmread(BytesIO(content)) for content in self.node.pacs.received]

    def counts(self) -> tuple[Mapping[str, int], Mapping[str, int], list[str]]:
        """Return what /metrics and `status` count of films not analysed, and the reasons on the study's page."""
        with self.node.database.read() as connection:
            status = study_status(connection, films.dx().StudyInstanceUID)
            shown = [film["reason"] for film in status["films"] if film["reason"]]
            counted = overview.reasons(connection, since=datetime(2000, 1, 1, tzinfo=UTC))
            return films_not_analysed(connection), counted, shown

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config)])
        assert result.exit_code == 0, result.output
        self.node.clock.now = datetime.now(UTC) + timedelta(seconds=1)  # that of the command
        return result.output


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        yield Site(InProcessNode(database, settings.node.data_folder), config)


def _compressed(syntax: str) -> Dataset:
    """Return the film as a router recompresses it."""
    return dcmread(BytesIO(encoded(films.dx(), uid.UID(syntax))))


SAME: dict[str, Callable[[], tuple[Dataset, str]]] = {
    "Implicit VR": lambda: (films.dx(), IMPLICIT),
    "RLE": lambda: (_compressed(uid.RLELossless), uid.RLELossless),
    "JPEG Lossless": lambda: (_compressed(uid.JPEGLosslessSV1), uid.JPEGLosslessSV1),
    "JPEG-LS": lambda: (_compressed(uid.JPEGLSLossless), uid.JPEGLSLossless),
    "padded name": lambda: (films.dx(changes={"PatientName": f"{films.PATIENT_NAME}^^^"}), EXPLICIT),
    "issuer added": lambda: (films.dx(changes={"IssuerOfPatientID": "HOSPITAL"}), EXPLICIT),
    "birth date dropped": lambda: (films.dx(changes={"PatientBirthDate": ""}), EXPLICIT),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_film_in_another_encoding_is_no_second_reading(name: str, site: Site) -> None:
    site.send(films.dx())
    site.send(*SAME[name]())

    assert site.outcomes() == ["read", "read"]
    assert site.node.reader.calls == 1
    assert len(site.reports()) == 1


def test_a_correction_is_read_and_its_results_are_issued_anew(site: Site) -> None:
    site.send(films.dx())
    corrected = films.dx(changes={"PatientID": "RIGHT", "PatientName": "Right^Patient"})
    site.send(corrected)

    assert site.outcomes() == ["read", "read"]
    first, note, second = site.reports()
    assert note.Modality == "KO"
    assert (second.PatientID, second.PatientName) == ("RIGHT", "Right^Patient")
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert site.counts() == ({}, {}, [])
    detail = " ".join(site.run("study", str(corrected.StudyInstanceUID)).split())
    assert "Patient ID, Patient's Name corrected" in detail
    assert "RIGHT" not in detail


def test_a_film_moved_to_another_study_names_the_report_of_the_first(site: Site) -> None:
    site.send(films.dx())
    site.send(films.dx(changes={"PatientID": "RIGHT", "StudyInstanceUID": OTHER_STUDY}))

    first, *_, second = sorted(site.reports(), key=lambda report: report.StudyInstanceUID == OTHER_STUDY)
    assert (second.StudyInstanceUID, second.PatientID) == (OTHER_STUDY, "RIGHT")
    (study,) = second.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == first.StudyInstanceUID


def test_other_pixels_under_a_known_uid_are_answered_by_a_report(site: Site) -> None:
    site.send(films.dx())
    site.send(films.dx(changes={"PixelData": np.zeros((64, 48), np.uint16).tobytes()}))

    assert site.outcomes() == ["read", Reason.DUPLICATE]
    reports = site.reports()
    assert len(reports) == 2
    assert "DUPLICATE" in str(reports[1])
    assert site.counts() == ({"DUPLICATE": 1}, {"DUPLICATE": 1}, ["DUPLICATE"])
    site.run("requeue", "--state", "not_analysed", "--reason", "DUPLICATE", "--yes")
    site.node.work()
    assert site.counts() == ({"DUPLICATE": 1}, {"DUPLICATE": 1}, ["DUPLICATE"])


def test_a_person_issues_the_results_of_a_study_anew(site: Site) -> None:
    site.send(films.dx())

    assert "1 result withdrawn" in site.run("reissue", films.dx().AccessionNumber, "--note", "filed wrongly")
    site.node.work()

    first, note, second = site.reports()
    assert "issued anew: filed wrongly" in note.to_json()
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.PatientID, first.StudyInstanceUID) == (second.PatientID, second.StudyInstanceUID)
    assert "2 results" not in site.run("study", films.dx().AccessionNumber)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"PatientID": ""}, ()),
        ({"PatientSex": "F"}, ("Patient's Sex",)),
        ({"PatientBirthDate": "20010203"}, ("Patient's Birth Date",)),
        ({"AccessionNumber": "OTHER"}, ("Accession Number",)),
        ({"PatientName": "Filmer^Other"}, ("Patient's Name",)),
    ],
)
def test_attributes_that_a_copy_states_otherwise_are_named(changes: dict[str, object], names: tuple[str, ...]) -> None:
    first = films.dx(changes={"PatientSex": "M", "AccessionNumber": "A1"})
    second = films.dx(changes={"PatientSex": "M", "AccessionNumber": "A1", **changes})

    assert corrected_attributes(first, second) == names
