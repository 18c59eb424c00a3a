"""FHIR R4 results: to a strict server in this process, and by npm's validator where it is installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_node.db.database import Database
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.fhir import Fhir, FhirDestination
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report.kinds import tid1500
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import ReportedFilm
from cxr_node.simulators.fhir import PATIENT, Mode, SimulatedFhir
from cxr_node.simulators.http_handler import RETRY_AFTER_S
from cxr_node.simulators.rejection_notes import rejection_note
from tests.support import films
from tests.support.node import InProcessNode
from tests.unit.report.studies import NODE, everything, not_read, request

pytestmark = pytest.mark.ci_on_postgresql


PACKAGE = Path(os.environ.get("CXR_NODE_FHIR", films.ROOT / "build" / "fhir")) / "node_modules" / "fhir"
"""npm's `fhir`: `npm install --prefix build/fhir fhir@4.12.0`."""
OUTCOMES: dict[Mode, type[Exception]] = {
    Mode.SILENT: DestinationUnreachable,
    Mode.CLOSES: RetryLater,
    Mode.TRUNCATED: RetryLater,
    Mode.HUGE: RetryLater,
    Mode.PAGE: RetryLater,
    Mode.EMPTY: DeliveryRejected,
    Mode.PARTLY: DeliveryRejected,
    Mode.STORES_NOTHING: RetryLater,
    Mode.STORES_NOTHING_ANYWHERE: RetryLater,
    Mode.SEARCH_PAGE: RetryLater,
    Mode.REDIRECTS: DestinationUnreachable,
    Mode.EXPIRED: DestinationUnreachable,
    Mode.CONFLICT: RetryLater,
    Mode.REJECTS: DeliveryRejected,
    Mode.STATUS_500: RetryLater,
    Mode.STATUS_503: DestinationUnreachable,
}
_VALIDATE = """
const { Fhir } = require(process.argv[1]);
const resources = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const wrong = resources.map(one => new Fhir().validate(one, { errorOnUnexpected: true }))
    .filter(one => !one.valid).map(one => one.messages.filter(m => m.severity === "error" || m.severity === "fatal"));
process.stdout.write(JSON.stringify(wrong));
"""


@pytest.fixture
def server() -> Iterator[SimulatedFhir]:
    with SimulatedFhir() as running:
        yield running


def destination(server: SimulatedFhir, **settings: Any) -> FhirDestination:
    values = {"patient_systems": ("=urn:oid:1.2.3", "ELSEWHERE=urn:oid:9"), **settings}
    opened = Fhir(name="fhir", url=server.url, **values).open(calling_ae_title=AeTitle("CXRNODE"))
    assert isinstance(opened, FhirDestination)
    return opened


def report(*reported: ReportedFilm, language: str = "en") -> bytes:
    observer = replace(NODE, language=LANGUAGES[language])
    (composed,) = tid1500.REPORT.compose(replace(request(list(reported)), observer=observer))
    return composed.content


def test_a_report_is_a_preliminary_diagnostic_report_with_observations(server: SimulatedFhir) -> None:
    film = everything(films.dx(changes={"AccessionNumber": "A1"}))
    receipt = destination(server, accession_system="urn:oid:1.2.4").send(report(film))

    (stated,) = server.of_type("DiagnosticReport")
    assert receipt.comment == f"{len(server.bundles[-1]['entry'])} resources"
    assert stated["status"] == "preliminary"
    assert stated["subject"] == {"reference": "Patient/p1"}
    assert stated["basedOn"][0]["identifier"]["value"] == "A1"
    assert stated["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{film.header.StudyInstanceUID}"
    assert "RESEARCH USE ONLY" in stated["conclusion"]
    observations = server.of_type("Observation")
    assert {one["reference"] for one in stated["result"]} == {f"Observation/{one['id']}" for one in observations}
    assert film.reading.prediction is not None
    coded = [one for one in observations if "valueCodeableConcept" in one]
    assert len(coded) == len(film.reading.prediction.findings)
    presences = {one["valueCodeableConcept"]["coding"][0]["code"] for one in coded}
    assert presences == {"52101004", "272519000", "373068000"}
    assert [one["valueQuantity"]["code"] for one in observations if "valueQuantity" in one] == ["{ratio}"]


def test_a_finding_has_score_threshold_site_and_algorithm(server: SimulatedFhir) -> None:
    film = everything(films.dx())
    assert film.reading.prediction is not None
    finding = next(
        one for one in film.reading.prediction.findings if one.presence is Presence.PRESENT and one.laterality
    )
    destination(server).send(report(film))

    stated = next(
        one for one in server.of_type("Observation") if one["code"]["coding"][0]["code"] == finding.code.value
    )
    score, threshold, side = stated["component"]
    assert score["valueQuantity"]["value"] == pytest.approx(100 * finding.score, abs=1)
    assert threshold["valueQuantity"]["value"] == pytest.approx(100 * finding.operating_point, abs=1)
    assert side["valueCodeableConcept"]["coding"][0]["display"].lower() == str(finding.laterality)
    assert stated["interpretation"][0]["coding"][0]["code"] == "A"
    device = server.resources[stated["device"]["reference"]]
    assert device["deviceName"][0]["name"] == film.reading.prediction.model.name
    assert device["version"][0]["value"] == film.reading.prediction.model.version


def test_a_report_sent_again_changes_no_number_of_resources(server: SimulatedFhir) -> None:
    content = report(everything(films.dx()))
    destination(server).send(content)
    before = dict(server.resources)
    destination(server).send(content)

    assert server.resources == before
    assert server.bundles[0] == server.bundles[1]


def test_a_later_version_takes_the_place_of_the_report(server: SimulatedFhir) -> None:
    """A film that is stated no more has its observations entered in error."""
    first, second = everything(films.dx()), everything(films.cr(changes=_study_of(films.dx())))
    destination(server).send(report(first, second))
    destination(server).send(report(first))

    (stated,) = server.of_type("DiagnosticReport")
    assert server.versions[f"DiagnosticReport/{stated['id']}"] == 2
    results = {one["reference"] for one in stated["result"]}
    statuses = {f"Observation/{one['id']}": one["status"] for one in server.of_type("Observation")}
    assert {name for name, status in statuses.items() if status == "preliminary"} == results
    assert set(statuses.values()) == {"preliminary", "entered-in-error"}


def _study_of(film: Any) -> dict[str, object]:
    return {"StudyInstanceUID": film.StudyInstanceUID}


def test_a_film_that_was_not_analysed_has_a_report_without_findings(server: SimulatedFhir) -> None:
    destination(server).send(report(not_read(films.dx(), Reason.VIEW)))

    (stated,) = server.of_type("DiagnosticReport")
    assert stated["status"] == "preliminary"
    assert "Not analysed" in stated["conclusion"]
    assert "result" not in stated
    assert server.of_type("Observation") == []


def test_a_report_of_a_patient_whom_the_server_lacks_is_rejected() -> None:
    with SimulatedFhir(patients=()) as empty:
        with pytest.raises(DeliveryRejected, match="HTTP status 412"):
            destination(empty).send(report(everything(films.dx())))
        assert empty.resources == {}

        destination(empty, patient="identifier").send(report(everything(films.dx())))
        (stated,) = empty.of_type("DiagnosticReport")
    assert stated["subject"]["identifier"] == {"system": "urn:oid:1.2.3", "value": "CXR-TEST-0001"}


def test_the_issuer_of_the_patient_id_selects_its_system(server: SimulatedFhir) -> None:
    film = everything(films.dx(changes={"IssuerOfPatientID": "ELSEWHERE"}))
    with pytest.raises(DeliveryRejected):
        destination(server).send(report(film))

    destination(server, patient="identifier").send(report(film))
    assert server.of_type("DiagnosticReport")[0]["subject"]["identifier"]["system"] == "urn:oid:9"


@pytest.mark.parametrize("mode", OUTCOMES)
def test_only_a_transaction_whose_resources_are_all_stored_is_delivered(mode: Mode, server: SimulatedFhir) -> None:
    server.mode, content = mode, report(everything(films.dx()))
    to = destination(server, timeout_s=0.5 if mode is Mode.SILENT else 10.0)
    with pytest.raises(OUTCOMES[mode]) as failed:
        to.send(content)
    assert type(failed.value) is OUTCOMES[mode]
    if isinstance(failed.value, DestinationUnreachable):
        assert failed.value.retry_after_s == (RETRY_AFTER_S if mode is Mode.STATUS_503 else 0)

    server.mode = Mode.RIGHT
    to.send(content)  # sent again, it is the same one report
    assert len(server.of_type("DiagnosticReport")) == 1
    assert server.changed == []


def test_a_later_version_that_is_not_stored_is_not_delivered(server: SimulatedFhir) -> None:
    """The server has the report, by an earlier version; without the setting its word counts."""
    first, second = everything(films.dx()), everything(films.cr(changes=_study_of(films.dx())))
    destination(server).send(report(first))
    server.mode = Mode.STORES_NOTHING
    with pytest.raises(RetryLater, match="does not have the report"):
        destination(server).send(report(first, second))

    destination(server, confirm="none").send(report(first, second))


def test_a_withdrawn_report_is_entered_in_error(server: SimulatedFhir, database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, pacs=destination(server))
    film = films.dx()
    node.accept(film)
    node.work()
    assert {one["status"] for one in server.of_type("Observation")} == {"preliminary"}

    node.accept(rejection_note("113037", film))
    node.work()

    (stated,) = server.of_type("DiagnosticReport")
    assert stated["status"] == "entered-in-error"
    assert "result" not in stated
    assert {one["status"] for one in server.of_type("Observation")} == {"entered-in-error"}


def test_the_probe_names_another_version_of_fhir(server: SimulatedFhir) -> None:
    probe = Fhir(name="fhir", url=server.url).probe((), calling_ae_title=AeTitle("CXRNODE"))
    assert (probe.is_usable, probe.next_step) == (True, "")
    assert probe.message.endswith("has FHIR 4.0.1")


def _errors(resources: list[dict[str, Any]]) -> list[Any]:
    """Return what npm's validator has against resources."""
    if shutil.which("node") is None or not PACKAGE.is_dir():
        pytest.skip(f"no node, or no npm package fhir at {PACKAGE}")
    command = ["node", "-e", _VALIDATE, str(PACKAGE)]
    run = subprocess.run(command, input=json.dumps(resources), capture_output=True, text=True, timeout=120, check=True)
    errors: list[Any] = json.loads(run.stdout)
    return errors


def test_the_validator_of_npm_finds_no_error_in_any_language(server: SimulatedFhir) -> None:
    resources: list[dict[str, Any]] = []
    for language in LANGUAGES:
        destination(server).send(report(everything(films.dx(changes={"AccessionNumber": "A1"})), language=language))
        destination(server).send(report(not_read(films.cr(seed=2), Reason.VIEW), language=language))
        resources += [one for one in server.resources.values() if one != PATIENT]
    assert _errors([*resources, *server.bundles]) == []

    (stated, *_) = server.of_type("DiagnosticReport")
    without_status = {name: value for name, value in stated.items() if name != "status"}
    assert len(_errors([without_status])) == 1
