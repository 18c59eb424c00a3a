"""Stream of events over HTTP: authorisation, changes of the database, bounds, and its end."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cxr_node.db.database import Database
from cxr_node.db.states import Event, State
from cxr_node.db.tables import job
from cxr_node.queue import events
from cxr_node.web import changes, event_streams, http_protocol
from cxr_node.web.changes import ALL, HEALTH, JOBS, ChangeDetector
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.peers import until
from tests.support.queue import NOON
from tests.support.web import Page, served_page, token_of


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as served:
        yield served


def topics(response: httpx.Response) -> Iterator[set[str]]:
    """Yield the topics of each event."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield set(line.removeprefix("data: ").split())


def opened(client: httpx.Client, stack: ExitStack) -> Iterator[set[str]]:
    """Open a stream, and wait for its first event; it is closed with `stack`, or if nobody holds the iterator."""
    received = topics(stack.enter_context(client.stream("GET", "/events?since=0")))
    assert next(received) == {ALL}
    return received


def is_opened(client: httpx.Client) -> bool:
    """Open a stream and close it; return whether there was a place for it."""
    with client.stream("GET", "/events") as response:
        return response.status_code == 200


def test_changes_name_the_studies_of_changed_jobs(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    detector = ChangeDetector(database, lambda: "green")
    assert detector.find().topics == set()

    node.accept(films.dx())
    node.accept(films.dx(seed=1))
    received = detector.find()
    node.work()
    worked = detector.find()

    assert received.topics == {JOBS, "study-1", "study-2"}
    assert worked.topics == {JOBS, "study-1", "study-2"}
    assert worked.newest > received.newest
    assert detector.find().topics == set()


def test_more_changes_than_listed_are_a_change_of_everything(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_LARGEST", 2)
    node = InProcessNode(database, tmp_path)
    detector = ChangeDetector(database, lambda: "green")
    detector.find()
    for seed in range(3):
        node.accept(films.dx(seed=seed))

    assert detector.find().topics == {ALL}
    assert detector.find().topics == set()
    node.accept(films.dx(seed=9))
    assert detector.find().topics == {JOBS, "study-4"}


def test_a_changed_health_line_is_a_change_also_without_a_database(database: Database) -> None:
    health = iter(["green", "green", "red"])
    detector = ChangeDetector(database, lambda: next(health, "red"))
    assert [detector.find().topics for _ in range(4)] == [set(), set(), {HEALTH}, set()]

    unreachable = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    lost = iter(["green", "red"])
    detector = ChangeDetector(unreachable, lambda: next(lost))
    assert [detector.find().topics for _ in range(2)] == [set(), {HEALTH}]
    unreachable.close()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_event_committed_after_a_later_one_is_not_missed(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    for seed in range(2):
        node.accept(films.dx(seed=seed))
    detector = ChangeDetector(database, lambda: "green")
    detector.find()
    with database.read() as connection:
        first, second = connection.execute(select(job.c.id).order_by(job.c.id)).scalars()

    with database.write() as late:
        events.record(late, [first], Event.CLAIMED, State.RUNNING, now=NOON)
        with database.write() as early:
            events.record(early, [second], Event.CLAIMED, State.RUNNING, now=NOON)
        assert detector.find().topics == {JOBS, "study-2"}

    assert detector.find().topics == {JOBS, "study-1"}
    assert detector.find().topics == set()


def test_a_film_that_arrives_is_an_event_and_leads_to_no_patient(page: Page) -> None:
    with page.visited_by("admin") as client, client.stream("GET", "/events?since=0") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        received = topics(response)
        assert next(received) == {ALL}
        page.node.accept(films.dx(seed=30))
        jobs, study = sorted(next(received))

    assert jobs == JOBS
    assert study.startswith("study-")


def test_events_need_a_login_and_end_with_it(page: Page) -> None:
    with page.visited_by() as client:
        assert client.get("/events").status_code == 401
    with page.visited_by("op") as client, client.stream("GET", "/events?since=0") as response:
        received = topics(response)
        next(received)
        client.post("/logout", data={"token": token_of(client)})
        page.node.accept(films.dx(seed=31))

        assert list(received) == []


def test_more_streams_than_allowed_are_refused_until_one_ends(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAXIMUM_STREAMS_PER_LOGIN", 2)
    with ExitStack() as stack, page.visited_by("op") as client:
        held = [opened(client, stack) for _ in range(2)]
        assert client.get("/events").status_code == 429
        held.append(opened(stack.enter_context(page.visited_by("reader")), stack))
        stack.close()
        del held

        until(lambda: is_opened(client), what="a place")


def test_streams_need_no_thread_and_no_place_of_requests(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_node.web import request_guard

    with page.visited_by("op") as client, ExitStack() as stack:
        held = [opened(client, stack)]
        threads = threading.active_count()
        monkeypatch.setattr(request_guard, "MAXIMUM_REQUESTS", 1)
        held += [opened(client, stack) for _ in range(12)]

        assert threading.active_count() <= threads + 1
        assert len(held) == 13
        assert client.get("/").status_code == 200


def test_a_stream_outlasts_the_deadline_of_responses(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "TICK_S", 0.1)
    with page.visited_by("op") as client:
        monkeypatch.setattr(http_protocol, "RESPONSE_TIMEOUT_S", 0.1)
        with client.stream("GET", "/events?since=0") as response:
            received = topics(response)
            assert [next(received) for _ in range(5)] == [{ALL}, *[{event_streams.TICK}] * 4]


def test_streams_end_whole_when_the_server_stops(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with served_page(tmp_path / "node") as page:
            client = stack.enter_context(page.visited_by("op"))
            response = stack.enter_context(client.stream("GET", "/events?since=0"))
            received = topics(response)
            next(received)

        assert list(received) == []  # a response that is cut off raises an error
