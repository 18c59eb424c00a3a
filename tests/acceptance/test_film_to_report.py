"""A modality (DCMTK) sends films; their reports arrive in a PACS (Orthanc)."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from cxr_node.db.states import Stage, State
from tests.support import films
from tests.support.films import real
from tests.support.peers import Orthanc, orthanc, program, storescu
from tests.support.running_node import RunningNode, running, settings_file, to_pacs

pytestmark = pytest.mark.ci_on_postgresql

REAL_FILMS = {
    # Option of storescu that proposes the film's own transfer syntax, by film.
    "RG1_J2KI": ["-xw"],
    "RG1_JLSN": ["-xu"],
    "siim_SC_JPEG": ["-xy"],
    "pseudo_phi_RLE": ["-xr"],
    "nih_DX_in_SC": ["-xi"],
    "CR-MONO1-10-chest": ["-xi"],
}
SR_STORAGE = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass(frozen=True, slots=True)
class Site:
    """A node and the PACS that it delivers to."""

    node: RunningNode
    pacs: Orthanc

    def reports(self, study_instance_uid: str) -> list[Dataset]:
        """Return the reports of a study in the PACS."""
        series = self.pacs.get(f"/studies/{self._study(study_instance_uid)}/instances")
        assert isinstance(series, list)
        files = (self.pacs.file(row["MainDicomTags"]["SOPInstanceUID"]) for row in series)
        documents = (dcmread(BytesIO(file)) for file in files)
        return [document for document in documents if document.SOPClassUID == SR_STORAGE]

    def _study(self, study_instance_uid: str) -> str:
        studies = self.pacs.get("/studies?expand")
        assert isinstance(studies, list)
        (identifier,) = [row["ID"] for row in studies if row["MainDicomTags"]["StudyInstanceUID"] == study_instance_uid]
        return str(identifier)


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    with orthanc(tmp_path / "orthanc") as pacs:
        to = to_pacs(pacs.port, pacs.ae_title)
        config = settings_file(tmp_path / "node", database_url=database_url, destinations=(to,))
        with running(config) as node:
            yield Site(node, pacs)


def test_each_film_gets_one_job_and_a_valid_report_in_its_own_study(site: Site, tmp_path: Path) -> None:
    paths = {name: real(name) for name in REAL_FILMS}
    for name, path in paths.items():
        for port, called in ((site.node.port, "CXRNODE"), (site.pacs.port, site.pacs.ae_title)):
            sent = storescu(port, path, called=called, options=REAL_FILMS[name])
            assert sent.returncode == 0, sent.stderr

    jobs = site.node.until_idle()

    assert {job.state for job in jobs} == {State.DONE}
    assert len([job for job in jobs if job.stage is Stage.READ]) == len(paths)
    headers = {name: dcmread(path, force=True, stop_before_pixels=True) for name, path in paths.items()}
    for name, header in headers.items():
        *_, latest = sorted(site.reports(header.StudyInstanceUID), key=lambda report: int(report.InstanceNumber))
        assert latest.PatientID == header.get("PatientID", "")
        referenced = {
            image.ReferencedSOPInstanceUID
            for study in latest.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for image in series.ReferencedSOPSequence
        }
        assert header.SOPInstanceUID in referenced
        check(latest, tmp_path / f"{name}.dcm")

    film = films.dx(rows=300, columns=280)
    for _ in range(2):
        assert storescu(site.node.port, films.written(film, tmp_path)).returncode == 0
        jobs = site.node.until_idle()

    own = [job.stage for job in jobs if job.study_instance_uid == film.StudyInstanceUID]
    assert sorted(own) == sorted((Stage.READ, Stage.COMPOSE, Stage.DELIVER))
    assert len(site.reports(film.StudyInstanceUID)) == 1


def check(report: Dataset, path: Path) -> None:
    """Check a report with dciodvfy and dsrdump."""
    report.save_as(path)
    verified = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True)
    assert "Error" not in verified.stderr, verified.stderr
    dumped = subprocess.run([program("dsrdump"), path], capture_output=True, text=True)
    assert dumped.returncode == 0
    assert "E: " not in dumped.stderr, dumped.stderr
