"""Pause and resume of reading and of destinations: queue, command line, page, health line."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import utc_now
from cxr_node.queries import overview
from cxr_node.queue import claimable, claiming
from cxr_node.records import pauses
from tests.support import audit_rules, films
from tests.support.node import InProcessNode
from tests.support.queue import LEASE, NOON
from tests.support.web import Page, served_page, token_of

PACS = "pacs"


def pause(database: Database, stage: Stage, destination: str = "") -> None:
    with database.write() as transaction:
        assert pauses.add(transaction, stage, destination, by="person/kim", now=NOON)


def states(node: InProcessNode) -> dict[Stage, set[State]]:
    return {stage: {job.state for job in node.jobs(stage)} for stage in Stage if node.jobs(stage)}


def test_nothing_is_sent_to_a_paused_destination_until_it_is_resumed(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    pause(database, Stage.DELIVER, PACS)
    node.accept(films.dx())
    node.work()

    assert node.pacs.received == []
    assert states(node) == {Stage.READ: {State.DONE}, Stage.COMPOSE: {State.DONE}, Stage.DELIVER: {State.WAITING}}
    with database.read() as connection:
        assert claimable.next_due(connection, Stage.DELIVER) is None, "the worker sleeps"
    node.clock.advance(days=4)
    with database.write() as transaction:
        assert pauses.end(transaction, Stage.DELIVER, PACS, now=node.clock.now) == 1
        assert Stage.DELIVER in transaction.notify
    assert node.jobs(Stage.DELIVER)[0].due_at == node.clock.now
    node.work()
    assert len(node.pacs.received) == 1


def test_other_destinations_get_results_meanwhile(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    pause(database, Stage.DELIVER, "archive")
    node.accept(films.dx())
    node.work()

    assert len(node.pacs.received) == 1


def test_films_are_received_while_reading_is_paused(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    pause(database, Stage.READ)
    node.accept(films.dx())
    node.accept(films.dx(seed=1))
    node.work()

    assert states(node) == {Stage.READ: {State.WAITING}}
    assert node.reader.calls == 0
    with database.write() as transaction:
        claims = claiming.claim(transaction, Stage.READ, owner="o", lease=LEASE, now=node.clock.now, limit=4)
    assert claims == []
    with database.write() as transaction:
        pauses.end(transaction, Stage.READ, "", now=node.clock.now)
    node.work()
    assert len(node.pacs.received) == 2


def test_a_pause_has_begun_or_ended_already(database: Database) -> None:
    pause(database, Stage.READ)
    with database.write() as transaction:
        assert not pauses.add(transaction, Stage.READ, "", by="person/lee", now=NOON)
        assert pauses.end(transaction, Stage.DELIVER, PACS, now=NOON) is None
        assert pauses.end(transaction, Stage.READ, "", now=NOON) == 0
        assert pauses.end(transaction, Stage.READ, "", now=NOON) is None


def test_paused_jobs_are_neither_due_nor_overdue(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    pause(database, Stage.DELIVER, PACS)
    node.accept(films.dx())
    node.work()
    pause(database, Stage.READ)
    node.accept(films.dx(seed=1))
    later = node.clock.now + timedelta(hours=1)

    with database.read() as connection:
        queues = {status.stage: status for status in overview.queues(connection, now=later)}
        (destination,) = overview.destinations(connection)
    for stage in (Stage.READ, Stage.DELIVER):
        assert (queues[stage].ready, queues[stage].scheduled, queues[stage].paused) == (0, 0, 1), stage
        assert queues[stage].oldest_ready_at is None
    assert (destination.waiting, destination.paused_at, destination.paused_by) == (1, NOON, "person/kim")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with served_page(tmp_path / "node") as served:
        yield served


def run(page: Page, *arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, [*arguments, "--config", str(page.config)], env={"COLUMNS": "200"})
    return ended.exit_code, ended.output


def test_commands_pause_and_resume_and_status_says_so(page: Page) -> None:
    assert run(page, "destination", "pause", PACS, "--note", "update of the PACS") == (
        0, "pacs is paused: results wait\n"
    )  # fmt: skip
    assert run(page, "reading", "pause")[0] == 0
    node = page.node
    node.pacs.before_send = lambda: None
    node.work()
    _, status = run(page, "status")
    listed = json.loads(run(page, "destination", "list", "--json")[1])
    again = run(page, "destination", "pause", PACS)
    unknown = run(page, "destination", "pause", "nowhere")

    assert "paused pacs: since" in status
    assert "(update of the PACS): 0 results wait; `cxr-node destination resume pacs` sends them" in status
    assert "paused reading: since" in status
    assert "1 films wait; `cxr-node reading resume` reads them" in status
    assert listed[0]["paused_by"].startswith("person/")
    assert again == (1, "destination pacs is paused already\n")
    assert unknown == (1, "there is no destination 'nowhere'; there are pacs\n")
    assert run(page, "reading", "resume") == (0, "reading is resumed: 1 films are due\n")
    assert run(page, "reading", "resume") == (1, "reading is not paused\n")
    node.clock.now = utc_now() + timedelta(minutes=1)  # after all that its simulated hours have dated
    node.work()
    assert run(page, "destination", "resume", PACS) == (0, "pacs is resumed: 1 results are due\n")


def test_the_page_shows_what_a_pause_does_before_an_operator_begins_it(page: Page) -> None:
    with page.visited_by("op") as client:
        shown = client.get("/actions/pause?name=destination/pacs").text
        data = {"name": "destination/pacs", "note": "update", "token": token_of(client)}
        paused = client.post("/actions/pause", data=data)
        operations = client.get("/").text
        resuming = client.get("/actions/pause?name=destination/pacs").text
        listed = client.get("/api/v1/pauses").json()
        resumed = client.post("/actions/resume", data=data)
        missing = client.post("/actions/resume", data=data)
        unknown = client.get("/actions/pause?name=compose")

    assert "<h1>Pause destination pacs?</h1>" in shown
    assert "0 results wait for it now" in shown
    assert (paused.status_code, resumed.status_code, missing.status_code, unknown.status_code) == (303, 303, 409, 422)
    words = re.sub("<.*?>", "", operations)
    assert re.search(r"paused pacs: since .* by person/op \(update\): 0 results wait", words)
    assert "<h1>Resume destination pacs?</h1>" in resuming
    assert [(row["stage"], row["destination"], row["paused_by"]) for row in listed] == [("deliver", PACS, "person/op")]
    trail = audit_rules.recorded(page.config.parent / "cxr-node-data" / "audit", "110113")
    assert {event.findall("ActiveParticipant")[0].get("UserID") for event in trail} == {"person/op"}
    assert len(trail) == 2


def test_only_operators_with_the_token_pause(page: Page) -> None:
    wanted = {"name": "reading"}
    with page.visited_by("reader") as viewer:
        assert viewer.get("/actions/pause?name=reading").status_code == 403
        assert viewer.post("/actions/pause", data=wanted | {"token": token_of(viewer)}).status_code == 403
        assert viewer.get("/api/v1/pauses").json() == []
    with page.visited_by("op") as operator:
        assert operator.post("/actions/pause", data=wanted | {"token": "x"}).status_code == 403
        assert operator.post("/api/v1/pauses", json=wanted).status_code == 403
        header = {"X-Token": token_of(operator)}
        assert len(operator.post("/api/v1/pauses", json=wanted, headers=header).json()) == 1
        assert operator.post("/api/v1/pauses", json=wanted, headers=header).status_code == 409
        assert operator.post("/api/v1/pauses/end", json=wanted, headers=header).json() == {"waiting": 1}
