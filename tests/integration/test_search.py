"""Search by UID, accession number, Patient ID and number, of queries and commands, on both databases."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import local_time
from cxr_node.queries import identifiers
from cxr_node.queries.search import ALL, IDENTIFIERS, Kind, Match, search
from tests.support import audit_rules, films
from tests.support.node import InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import opened, settings_file

pytestmark = pytest.mark.ci_on_postgresql


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    """Two studies of one patient, two films in the first, and one of another patient with a number for everything."""
    node = InProcessNode(database, tmp_path)
    _fill(node)
    return node


def _fill(node: InProcessNode) -> None:
    first = films.dx(seed=1, changes={"AccessionNumber": "A 1"})
    same_study = {"StudyInstanceUID": first.StudyInstanceUID, "SeriesInstanceUID": first.SeriesInstanceUID}
    for film in (
        first,
        films.dx(seed=2, changes={"AccessionNumber": "A 1", **same_study}),
        films.dx(seed=3, changes={"AccessionNumber": "A2"}),
        films.dx(seed=4, changes={"AccessionNumber": "2", "PatientID": "3", "PatientName": "Other^Testa"}),
    ):
        node.accept(film)
        node.clock.advance(seconds=60)
    node.work()


def hits(node: InProcessNode, text: str, by: frozenset[Match] = ALL) -> list[tuple[str, int, tuple[Match, ...]]]:
    with node.database.read() as connection:
        return [(hit.kind.value, hit.number, hit.matches) for hit in search(connection, text, by=by).hits]


def test_identifiers_find_studies_the_newest_first(node: InProcessNode) -> None:
    assert hits(node, "A 1") == [("study", 1, (Match.ACCESSION_NUMBER,))]
    assert hits(node, "  A  1 ") == hits(node, "A 1")
    assert hits(node, films.PATIENT_ID) == [("study", 2, (Match.PATIENT_ID,)), ("study", 1, (Match.PATIENT_ID,))]
    for text in ("a 1", "A", "A%", "A 1 or 1", "", " ", "x" * 1000, "A\0 1'"):
        assert hits(node, text) == []


def test_uids_find_studies_films_and_studies_of_results(node: InProcessNode) -> None:
    film = films.dx(seed=2)
    (report, *_) = node.pacs.reports()
    first_study = films.dx(seed=1).StudyInstanceUID

    assert hits(node, str(first_study)) == [("study", 1, (Match.STUDY_INSTANCE_UID,))]
    assert hits(node, str(films.dx(seed=1).SeriesInstanceUID)) == [("study", 1, (Match.SERIES_INSTANCE_UID,))]
    assert hits(node, str(film.SOPInstanceUID)) == [("film", 2, (Match.SOP_INSTANCE_UID,))]
    for uid, match in (
        (report.SOPInstanceUID, Match.SOP_INSTANCE_UID), (report.SeriesInstanceUID, Match.SERIES_INSTANCE_UID)
    ):  # fmt: skip
        ((kind, _, matches),) = hits(node, str(uid))
        assert (kind, matches) == ("study", (match,))
    with node.database.read() as connection:
        assert search(connection, str(first_study)).identifiers == {}


def test_a_number_finds_everything_that_it_may_mean(node: InProcessNode) -> None:
    numbered = hits(node, "2")

    assert {(kind, number): matches for kind, number, matches in numbered} == {
        ("study", 3): (Match.ACCESSION_NUMBER,),
        ("study", 2): (Match.STUDY_NUMBER,),
        ("film", 2): (Match.FILM_NUMBER,),
        ("job", 2): (Match.JOB_NUMBER,),
    }
    assert {(kind, matches) for kind, number, matches in hits(node, "3") if number == 3} == {
        ("study", (Match.PATIENT_ID, Match.STUDY_NUMBER)), ("film", (Match.FILM_NUMBER,)), ("job", (Match.JOB_NUMBER,))
    }  # fmt: skip
    assert hits(node, "job 2") == [("job", 2, (Match.JOB_NUMBER,))]
    assert hits(node, "Study 2") == [("study", 2, (Match.STUDY_NUMBER,))]
    assert hits(node, "9" * 18) == hits(node, "9" * 40) == []


def test_only_permitted_kinds_are_looked_up(node: InProcessNode) -> None:
    with node.database.read() as connection:
        restricted = search(connection, "2", by=ALL - IDENTIFIERS)
        permitted = search(connection, "2")

    assert Kind.STUDY in {hit.kind for hit in restricted.hits}
    assert not any(set(hit.matches) & IDENTIFIERS for hit in restricted.hits)
    assert (restricted.identifiers, permitted.identifiers) == ({}, {"accession_number": "2", "patient_id": "2"})


def test_identifiers_of_a_study_are_its_different_values(node: InProcessNode) -> None:
    with node.database.read() as connection:
        shown = identifiers.by_study(identifiers.of_studies(connection, [1, 3]))

    assert shown[1].accession_numbers == ("A 1",)
    assert shown[3].patient_ids == ("3",)
    assert shown[3].patient_names == ()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = settings_file(tmp_path_factory.mktemp("node"))
    settings = load(path)
    settings.node.data_folder.mkdir(parents=True, exist_ok=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        _fill(InProcessNode(database, settings.node.data_folder))
    return path


def run(config: Path, *arguments: str, exit_code: int = 0) -> str:
    ended = CliRunner().invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "200"})
    assert ended.exit_code == exit_code, ended.output
    return ended.output


def recorded(config: Path, event: str) -> list[Element]:
    return audit_rules.recorded(load(config).node.data_folder / "audit", event)


def test_a_study_is_named_by_accession_number_or_number(config: Path) -> None:
    uid = str(films.dx(seed=1).StudyInstanceUID)
    for name in ("A 1", "study 1", "1", str(films.dx(seed=2).SOPInstanceUID), uid):
        assert json.loads(run(config, "study", name, "--json"))["study_instance_uid"] == uid, name

    several = run(config, "study", films.PATIENT_ID, exit_code=1)
    assert 'such as "study 2"' in several
    assert f"study 1, received {local_time(NOON)}, by Patient ID" in several
    assert "several" in run(config, "study", "2", exit_code=1)


def test_a_film_is_shown_by_number_or_by_an_accession_number_of_one_film(config: Path, tmp_path: Path) -> None:
    options = ("--no-model", "--out", str(tmp_path / "film.png"))
    assert "64 pixels" in run(config, "film", "show", "film 3", *options)
    assert "64 pixels" in run(config, "film", "show", "A2", *options)
    assert '"film 1", "film 2"' in run(config, "film", "show", "A 1", *options, exit_code=1)
    assert "neither a file nor a film" in run(config, "film", "show", "x", *options, exit_code=1)


def test_searches_and_shown_identifiers_are_audited(config: Path) -> None:
    before = {event: len(recorded(config, event)) for event in ("110112", "110103")}
    plain = run(config, "find", "A2")
    shown = json.loads(run(config, "find", "A2", "--identifiers", "--json"))
    run(config, "study", str(films.dx(seed=3).StudyInstanceUID))
    assert "accession number: A2" in run(config, "study", "study 2", "--identifiers")
    assert "finds nothing" in run(config, "find", "no such", exit_code=1)

    assert films.PATIENT_ID not in plain
    assert shown[0]["patient_ids"] == films.PATIENT_ID
    queries = recorded(config, "110112")[before["110112"] :]
    texts = [base64.b64decode(query.findtext(".//ParticipantObjectQuery") or "") for query in queries]
    assert [b"A2" in text for text in texts] == [True] * 4 + [False] * 2
    views = recorded(config, "110103")[before["110103"] :]
    assert len(views) == 2
    for view in views:
        study, patient = view.findall("ParticipantObjectIdentification")
        assert study.get("ParticipantObjectID") == films.dx(seed=3).StudyInstanceUID
        assert patient.get("ParticipantObjectID") == films.PATIENT_ID


def test_no_searched_text_is_in_any_log(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(config, "find", films.PATIENT_ID, "--identifiers")

    assert films.PATIENT_ID not in caplog.text


def test_the_time_of_a_hit_is_that_of_its_reception(node: InProcessNode) -> None:
    with node.database.read() as connection:
        (one,) = search(connection, "A 1").hits
        (two,) = search(connection, "A2").hits

    assert two.at - one.at == timedelta(seconds=120)
    assert node.jobs(Stage.READ)[0].study_instance_uid == one.study_instance_uid
