"""The ledger: received = delivered + in progress + not reported, at every step."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.records import dismissals
from cxr_node.work.periodic import retention
from tests.support import films
from tests.support.node import QUIET_S, InProcessNode
from tests.support.queue import NOON, SENDER
from tests.support.running_node import opened, settings_file


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def fates(node: InProcessNode) -> list[Fate]:
    with node.database.read() as connection:
        return [entry.fate for entry in ledger.entries(connection)]


def test_a_film_is_in_progress_until_its_report_is_delivered(node: InProcessNode) -> None:
    node.accept(films.dx())
    for stage in (Stage.READ, Stage.COMPOSE, Stage.DELIVER):
        assert fates(node) == [Fate.IN_PROGRESS]
        assert node.turn(stage)
        node.clock.advance(seconds=QUIET_S)

    assert fates(node) == [Fate.DELIVERED]


def test_a_film_not_analysed_is_delivered_with_the_report_of_its_reason(node: InProcessNode) -> None:
    node.accept(films.dx(changes={"PixelData": None}))
    node.work()

    assert fates(node) == [Fate.DELIVERED]


def test_a_late_film_is_in_progress_beside_one_that_is_delivered(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.accept(films.cr())

    assert fates(node) == [Fate.DELIVERED, Fate.IN_PROGRESS]

    node.work()
    assert fates(node) == [Fate.DELIVERED, Fate.DELIVERED]


def test_a_waiting_delivery_is_in_progress_and_a_failed_one_not_reported(node: InProcessNode) -> None:
    def unreachable() -> None:
        raise RetryLater("away")

    def rejecting() -> None:
        raise DeliveryRejected("no")

    node.pacs.before_send = unreachable
    node.accept(films.dx())
    node.work()
    assert fates(node) == [Fate.IN_PROGRESS]

    node.pacs.before_send = rejecting
    node.clock.advance(hours=1)
    node.work()
    assert fates(node) == [Fate.NOT_REPORTED]


def test_a_film_that_came_again_is_reported_as_the_one_that_counts(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.accept(films.dx(changes={"PatientComments": "another"}))
    node.accept(films.dx(changes={"PatientID": "CORRECTED"}))
    node.accept(films.dx(seed=1))
    node.accept(films.cr(seed=1, changes={"PatientID": "SOMEONE-ELSE"}))
    node.work()

    assert fates(node) == [Fate.DELIVERED] * 5


def test_the_ledger_filters_by_time_and_sender(node: InProcessNode) -> None:
    node.accept(films.dx())

    with node.database.read() as connection:
        assert len(ledger.entries(connection, since=NOON, until=NOON + timedelta(days=1))) == 1
        assert ledger.entries(connection, since=NOON + timedelta(seconds=1)) == []
        assert ledger.entries(connection, until=NOON) == []
        assert len(ledger.entries(connection, calling_ae_title="DX1")) == 1
        assert ledger.entries(connection, calling_ae_title="DX2") == []


def test_reconcile_adds_up_and_names_films_not_reported(tmp_path: Path, database_url: str) -> None:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.accept(films.dx())
        node.work()
        result = CliRunner().invoke(app, ["reconcile", "--config", str(config)])
        assert result.exit_code == 0
        assert result.output == "1 received = 1 delivered + 0 in progress + 0 not reported\n"

        (key,) = [stored for stored in node.archive.stored_keys() if stored.startswith("films/")]
        node.archive.discard(key)
        node.archive.put(f"films/ff/{'f' * 64}.dcm", b"nobody's")
        node.accept(films.dx(seed=1))
        node.accept(films.dx(seed=2))
        with database.write() as transaction:
            uid = Uid(films.dx(seed=2).SOPInstanceUID)
            dismissals.dismiss_film(transaction, uid, detail="", actor="test", now=node.clock.now)
        node.turn(Stage.READ)

    result = CliRunner().invoke(app, ["reconcile", "--config", str(config), "--json"])

    assert result.exit_code == 1
    document = json.loads(result.output)
    assert document["counts"] == {"received": 3, "delivered": 1, "in_progress": 1, "not_reported": 1, "removed": 0}
    assert [entry["reason"] for entry in document["not_reported"]] == ["DISMISSED"]
    assert document["missing_files"] == [key]
    assert document["unnamed_films"] == [f"films/ff/{'f' * 64}.dcm"]
    shown = CliRunner().invoke(app, ["reconcile", "--config", str(config), "--day", "2026-01-02", "--from", "DX1"])
    assert "3 received = 1 delivered + 1 in progress + 1 not reported" in shown.output
    assert "MISSING FILE" in shown.output


def test_reconcile_counts_by_day_device_and_association(tmp_path: Path, database_url: str) -> None:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.accept(films.dx(), sender=replace(SENDER, association="20260102T120000Z-0a"))
        node.work()
        node.clock.advance(days=31)
        retention.remove_expired(database, node.archive, keep=timedelta(days=30), clock=node.clock)
        node.accept(films.dx(seed=1), sender=replace(SENDER, association="20260202T120000Z-0b", address="10.0.7.9"))

    def reconcile(*options: str) -> dict[str, Any]:
        ended = CliRunner().invoke(app, ["reconcile", "--config", str(config), "--json", *options])
        assert ended.exit_code == 0
        document: dict[str, Any] = json.loads(ended.output)
        return document

    first = {"received": 1, "delivered": 1, "in_progress": 0, "not_reported": 0, "removed": 1}
    second = {"received": 1, "delivered": 0, "in_progress": 1, "not_reported": 0, "removed": 0}
    assert reconcile("--by", "association")["by_association"] == {
        "20260102T120000Z-0a": first,
        "20260202T120000Z-0b": second,
    }
    assert list(reconcile("--by", "day")["by_day"].values()) == [first, second]
    assert reconcile("--by", "device")["by_device"] == {"DX1 at 127.0.0.1": first, "DX1 at 10.0.7.9": second}
    assert reconcile("--address", "10.0.7.9")["counts"] == second
    assert reconcile("--association", "20260102T120000Z-0a")["counts"] == first
    shown = CliRunner().invoke(app, ["reconcile", "--config", str(config), "--by", "sender"]).output
    assert "2 received = 1 delivered + 1 in progress + 0 not reported" in shown
    assert "1 of the delivered films were removed from the archive" in shown
    assert "DX1" in shown
