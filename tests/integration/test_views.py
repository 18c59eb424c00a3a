"""Views on both databases: their rows, their document, and read-only access."""

import base64
import csv
import io
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database, DatabaseUnavailable
from cxr_node.db.schema_version import Standing, standing
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.domain import concepts
from cxr_node.domain.codes import Code
from cxr_node.domain.comparison import Change, ComparedValue
from cxr_node.domain.comparison import Comparison as FilmComparison
from cxr_node.domain.daily_stats import DateRange, DriftResult, Statistic
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.reading import CascadeStep, Measurement, NamedPoint, StepState
from cxr_node.queries import drift, view_rows
from cxr_node.queries.view_rows import Comparison, Condition
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import (
    comparisons,
    constancy,
    exports,
    fetched_films,
    periodic_jobs,
    procedure_steps,
    readings,
    rejections,
    shadow,
)
from cxr_node.records import films as film_rows
from cxr_node.records.rejections import Rejections
from cxr_node.records.shadow import ShadowTask
from cxr_node.work.periodic import drift as drift_job
from tests.support import audit_rules, films, view_document
from tests.support.films import ROOT
from tests.support.node import InProcessNode, received
from tests.support.running_node import opened, settings_file

DOCUMENT = (ROOT / "docs" / "reference" / "database.md").read_text(encoding="utf-8")
QUESTIONS = dict(re.findall(r"\*\*(\d+)\. .*?\*\*.*?```sql\n(.*?)```", DOCUMENT, re.DOTALL))
UNIT = Code(value="1", scheme_designator="UCUM", meaning="no units")
DRIFT = DriftResult(
    day=date(2026, 1, 2), device="DX1", kind=Statistic.SCORE, key="lung_opacity",
    reference=DateRange(first=date(2025, 12, 1), last=date(2025, 12, 7)),
    window=DateRange(first=date(2025, 12, 27), last=date(2026, 1, 2)), reference_films=1000, films=80,
    reference_value=0.2, value=0.3, effect=0.2, p_value=0.0001, adjusted_p=0.001, is_drift=True,
)  # fmt: skip


def busy(database: Database, folder: Path) -> InProcessNode:
    """Return a node with one of everything: delivered, measured, not analysed, twice, failed, waiting."""
    node = InProcessNode(database, folder)
    first = films.dx()
    node.accept(first)
    node.turn(Stage.READ)
    _measure(node)
    node.work()
    node.accept(films.dx(changes={"PixelData": bytes(2 * 64 * 48)}))
    node.accept(films.dx(seed=2, changes={"ViewPosition": "LL"}))
    node.work()

    def refuse() -> None:
        raise DeliveryRejected("no")

    def away() -> None:
        raise DestinationUnreachable("away")

    node.pacs.before_send = refuse
    node.accept(films.dx(seed=3))
    node.work()
    node.pacs.before_send = away
    node.accept(films.dx(seed=4))
    node.work()
    node.accept(films.dx(seed=5))
    drift_job.update_daily_statistics(database, now=node.clock.now)
    with database.write() as transaction:
        drift.store(transaction, 1, [DRIFT], now=node.clock.now)
        failed = constancy.start(transaction, now=node.clock.now)
        constancy.end(transaction, failed, state="failed", detail="not taken", now=node.clock.now)
        film = film_rows.get(transaction.connection, 1)
        read = readings.latest(transaction.connection, 1, film.identity)
        assert read is not None
        assert read.prediction is not None
        model = shadow.model_id(transaction, read.prediction.model, now=node.clock.now)
        shadow.store(transaction, model, ShadowTask(film_id=1, reading_id=1, attempts=1), read, now=node.clock.now)
        periodic_jobs.store(
            transaction, "drift", host="host-1", role="deliver", started_at=node.clock.now, duration_s=0.5,
            outcome="succeeded", detail="", next_at=node.clock.now,
        )  # fmt: skip
        ratio = ComparedValue(
            key="CTR", code=concepts.CARDIOTHORACIC_RATIO, unit=UNIT, value=0.52, prior_value=0.47,
            change=Change.BEYOND, limit=0.02,
        )  # fmt: skip
        compared = FilmComparison(prior=film.identity, prior_date="2025-03-02", values=(ratio,))
        comparisons.write(transaction, [1], {1: (2, compared)})
        fetched = fetched_films.add(
            transaction, received(films.cr(seed=9)), source="archive", archive_key="priors/00/0.dcm",
            expires_at=node.clock.now, now=node.clock.now,
        )  # fmt: skip
        comparisons.write(transaction, [3], {}, {3: (fetched, compared)})
        procedure_steps.request(
            transaction, "ris", Uid("1.2.3"), transaction_uid=Uid("1.2.4"), not_after=node.clock.now,
            now=node.clock.now,
        )  # fmt: skip
        exports.begin(
            transaction, by="person/kim", target="research", selection="films with state=done", conditions="report",
            films=2, now=node.clock.now,
        )  # fmt: skip
        at = {"first_at": node.clock.now, "last_at": node.clock.now}
        refused = Rejections(calling_ae_title="DX9", reason="no_tls", address="10.0.0.9", rejections=2, **at)
        rejections.write(transaction, "host-1", [refused])
    return node


def _measure(node: InProcessNode) -> None:
    """Add a measurement, a point and a second opinion to the only reading there is."""
    with node.database.read() as connection:
        film = film_rows.get(connection, 1)
        read = readings.latest(connection, 1, film.identity)
    assert read is not None
    ratio = Measurement(
        key=concepts.CARDIOTHORACIC_RATIO.value, code=Code(value="R-10260", scheme_designator="SRT", meaning="ratio"),
        value=0.48, unit=UNIT, line=((0.0, 0.0), (1.0, 0.0)), provenance="by a test",
    )  # fmt: skip
    assert read.prediction is not None
    step = CascadeStep(
        name="second", model=read.prediction.model, state=StepState.ANSWERED,
        second_opinions=(read.prediction.findings[0],),
    )  # fmt: skip
    point = NamedPoint(
        key="carina", code=concepts.CARINA, at=(1.0, 2.0), confidence=0.9, least_confidence=0.5, is_visible=True
    )
    read_by_two = replace(read.prediction, steps=(step,), points=(point,))
    measured = replace(read, measurements=(ratio,), prediction=read_by_two)
    with node.database.write() as transaction:
        readings.write(transaction, 1, measured, now=node.clock.now)


def test_each_view_has_its_columns_and_rows(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    with database.read() as connection:
        for name, view in VIEWS.items():
            assert [column["name"] for column in inspect(connection).get_columns(name)] == list(view.columns), name
            assert view_rows.rows(connection, view), name


def test_the_document_has_every_view_and_column() -> None:
    assert view_document.sections() == DOCUMENT.partition(view_document.START)[2].partition(view_document.END)[0]


def test_every_question_of_the_document_has_an_answer(database: Database, tmp_path: Path) -> None:
    node = busy(database, tmp_path)
    study = node.jobs(Stage.READ)[0].study_instance_uid

    assert list(QUESTIONS) == [str(number) for number in range(1, 21)]
    answers = {}
    with database.read() as connection:
        for number, question in QUESTIONS.items():
            rows = connection.execute(text(question.replace("2.25.1'", f"{study}'"))).all()
            assert rows, f"question {number} has no answer"
            answers[number] = [tuple(row) for row in rows]
    assert [row[:2] for row in answers["1"]] == [
        ("read", "done"), ("compose", "done"), ("deliver", "done"), ("read", "not_analysed"),
        ("compose", "done"), ("deliver", "done"),
    ]  # fmt: skip
    assert [(*row[:5], float(row[5])) for row in answers["2"]] == [("DX1", None, "Made", 6, 2, 33.3)]
    assert sorted(answers["4"]) == [("DUPLICATE", 1), ("VIEW", 1)]
    assert [row[1] for row in answers["5"]] == ["deliver"]
    assert {row[0] for row in answers["6"]} == {"read", "deliver"}
    assert sorted(answers["8"]) == [("pacs", "away", 1), ("pacs", "no", 1)]
    assert answers["9"] == [("2026-01-02", "DX1", 6)]
    assert answers["10"] == [(12, 6)]
    assert [row[:3] for row in answers["11"]] == [("lung_opacity", 3, 3)]
    assert [(row[0], row[1], float(row[2])) for row in answers["15"]] == [("2026-01-02", 1, 0.48)]
    assert [(row[0], row[6]) for row in answers["3"]] == [("DX", 3)]
    assert answers["3"][0][1:6] == pytest.approx((2.0,) * 5)


def test_no_view_shows_a_patient(database: Database, tmp_path: Path) -> None:
    node = busy(database, tmp_path)
    film = films.dx()
    with node.database.read() as connection:
        key = film_rows.get(connection, 1).identity.patient_key
        shown = " ".join(str(view_rows.rows(connection, view)) for view in VIEWS.values() if not view.holds_identifiers)
        (identifiers, *_) = view_rows.rows(connection, VIEWS["v1_film_identifiers"])

    assert identifiers["patient_id"] == film.PatientID
    assert key not in str(identifiers)
    for secret in (key, str(film.PatientName), str(film.PatientID), str(film.PatientBirthDate),
                   str(film.AccessionNumber)):  # fmt: skip
        assert secret
        assert secret not in shown


def test_turnaround_is_the_sum_of_its_parts(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    with database.read() as connection:
        arrived = Condition(column="total_s", comparison=Comparison.UNEQUAL, value=None)
        rows = view_rows.rows(connection, VIEWS["v1_turnaround"], conditions=[arrived])

    assert rows
    for row in rows:
        parts = [row[part] for part in ("wait_s", "read_s", "compose_s", "deliver_s")]
        assert sum(parts) == pytest.approx(row["total_s"])
        assert row["received_at"] + timedelta(seconds=row["total_s"]) == row["delivered_at"]


def test_a_read_only_database_cannot_be_written(database: Database, database_url: str) -> None:
    reader = Database(database_url, read_only=True)
    try:
        with reader.read() as connection:
            assert standing(connection) is Standing.SAME
        with pytest.raises((DatabaseUnavailable, DBAPIError)), reader.write() as transaction:
            transaction.connection.execute(text("DELETE FROM job"))
    finally:
        reader.close()


def test_a_statement_ends_after_its_timeout(database: Database, database_url: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    reader = Database(database_url, read_only=True, statement_timeout_s=0.2)
    try:
        with pytest.raises(DatabaseUnavailable), reader.read() as connection:
            connection.execute(text(endless)).all()
        with reader.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    finally:
        reader.close()


def test_a_granted_role_reads_only_the_views(postgresql_server: str, tmp_path: Path) -> None:
    server = make_url(postgresql_server).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE granted"))
        connection.execute(text("CREATE ROLE reader LOGIN"))
    engine.dispose()
    url = server.set(database="granted").render_as_string(hide_password=False)
    config = settings_file(tmp_path, database_url=url)
    early = CliRunner().invoke(app, ["db", "grant-reader", "reader", "--config", str(config)])
    assert "db upgrade" in early.output
    CliRunner().invoke(app, ["db", "upgrade", "--config", str(config)])
    unknown = CliRunner().invoke(app, ["db", "grant-reader", "nobody", "--config", str(config)])
    printed = CliRunner().invoke(app, ["db", "grant-reader", "reader", "--print", "--config", str(config)])
    assert (unknown.exit_code, printed.exit_code) == (1, 0)
    assert "GRANT SELECT ON v1_films" in printed.output

    def grant(*options: str) -> None:
        granted = CliRunner().invoke(app, ["db", "grant-reader", "reader", *options, "--config", str(config)])
        assert granted.exit_code == 0, granted.output

    grant()

    reader = create_engine(server.set(database="granted", username="reader", password=None))
    try:
        for name in (name for name, view in VIEWS.items() if not view.holds_identifiers):
            with reader.connect() as connection:
                connection.execute(text(f"SELECT * FROM {name}")).all()  # noqa: S608  # our own names
        for forbidden in ("SELECT patient_key FROM film", "DELETE FROM job", "CREATE TABLE mine (a integer)",
                          "SELECT * FROM film_identifiers", "SELECT * FROM v1_film_identifiers"):  # fmt: skip
            with reader.connect() as connection, pytest.raises(DBAPIError):
                connection.execute(text(forbidden))
        grant("--identifiers")
        with reader.connect() as connection:
            connection.execute(text("SELECT * FROM v1_film_identifiers")).all()
        grant()
        with reader.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text("SELECT * FROM v1_film_identifiers"))
        with reader.connect() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "1min"
    finally:
        reader.dispose()


def test_the_owner_of_the_database_grants_without_createrole(postgresql_server: str, tmp_path: Path) -> None:
    """As docs/reference/database.md sets it up: the node's role owns its database and has no other privilege."""
    server = make_url(postgresql_server).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in ("CREATE ROLE owner LOGIN", "CREATE ROLE analyst LOGIN", "CREATE DATABASE owned OWNER owner"):
            connection.execute(text(statement))
    engine.dispose()
    url = server.set(database="owned", username="owner", password=None).render_as_string(hide_password=False)
    config = settings_file(tmp_path, database_url=url)
    CliRunner().invoke(app, ["db", "upgrade", "--config", str(config)])

    granted = CliRunner().invoke(app, ["db", "grant-reader", "analyst", "--config", str(config)])

    assert granted.exit_code == 0, granted.output
    assert "Run this as a role with CREATEROLE" in granted.output
    assert "\nALTER ROLE analyst IN DATABASE owned SET statement_timeout = '60s';" in granted.output
    assert "GRANT" not in granted.output
    reader = create_engine(server.set(database="owned", username="analyst", password=None))
    try:
        with reader.connect() as connection:
            connection.execute(text("SELECT * FROM v1_films")).all()
        with reader.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text("SELECT patient_key FROM film"))
    finally:
        reader.dispose()


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """The settings of a node with one of everything."""
    path = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(path)
    with opened(settings) as database:
        migrate.upgrade(database)
        busy(database, settings.node.data_folder)
    return path


def test_query_writes_tables_csv_and_json(config: Path) -> None:
    def query(*arguments: str) -> str:
        ended = CliRunner().invoke(app, ["query", *arguments, "--config", str(config)], env={"COLUMNS": "200"})
        assert ended.exit_code == 0, ended.output
        return ended.output

    columns = ("--columns", "job_id,stage,state,ended_at")
    rows = json.loads(query("v1_jobs", "--where", "state=failed", *columns, "--json"))
    assert [(row["stage"], row["state"]) for row in rows] == [("deliver", "failed")]
    assert rows[0]["ended_at"].startswith("2026-01-02T12:")
    (row,) = csv.DictReader(io.StringIO(query("v1_jobs", "--where", "state=failed", *columns, "--csv")))
    assert (row["stage"], row["state"]) == ("deliver", "failed")
    assert "failed" in query("v1_jobs", "--where", "state~fail%", *columns)
    assert query("v1_films", "--since", "1h") == "no rows\n"
    assert query("v1_films", "--until", "2026-01-01") == "no rows\n"
    count = json.loads(query("v1_films", "--since", "2026-01-01", "--where", "is_original=no", "--json"))
    assert len(count) == 1
    oldest = json.loads(query("v1_films", "--order", "film_id", "--limit", "1", "--json"))
    assert oldest[0]["film_id"] == 1
    assert len(json.loads(query("v1_films", "--where", "reading_id=none", "--json"))) == 1
    assert "Study Instance UID" in query("v1_films", "--columns-of")


def test_a_query_of_identifiers_is_audited(config: Path) -> None:
    where = ("--where", "accession_number=ACC-1", "--where", "study_date>2020-01-01")
    ended = CliRunner().invoke(app, ["query", "v1_film_identifiers", *where, "--json", "--config", str(config)])
    CliRunner().invoke(app, ["query", "v1_films", "--config", str(config)])

    assert {row["patient_id"] for row in json.loads(ended.output)} == {films.PATIENT_ID}
    (query,) = audit_rules.recorded(load(config).node.data_folder / "audit", "110112")
    encoded = query.findtext(".//ParticipantObjectQuery")
    assert encoded is not None
    assert b"ACC-1" in base64.b64decode(encoded)
    requestor = query.find("ActiveParticipant[@UserIsRequestor='true']")
    assert requestor is not None
    assert str(requestor.get("UserID")).startswith("person/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v9_films"], "there is no view"),
        (["v1_films", "--where", "patient_key=1"], "has no column 'patient_key'"),
        (["v1_films", "--where", "state"], "expected COLUMN=VALUE"),
        (["v1_films", "--where", "film_id=x"], "expected a whole number"),
        (["v1_films", "--since", "tomorrow"], "is not a time"),
        (["v1_films", "--order", "film"], "has no column"),
    ],
)
def test_query_explains_a_wrong_argument(arguments: list[str], message: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["query", *arguments, "--config", str(settings_file(tmp_path))])

    assert ended.exit_code == 1
    assert message in ended.output
