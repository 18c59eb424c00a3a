"""Shadow mode in a whole node: a second model reads after the first; its readings are never delivered."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import utc_now
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import ModelIdentity, Prediction, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.executor import InProcess
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue
from cxr_node.reading.context import ReadContext
from cxr_node.records import shadow as shadows
from cxr_node.work.periodic.shadow import Shadow
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.running_node import opened, settings_file
from tests.support.stub_prediction import RULES, prediction
from tests.support.tiny_bundles import film as noise

FIRST = prediction([noise(rows=8, columns=8)])[0].model
SECOND = ModelIdentity(**{**{n: getattr(FIRST, n) for n in FIRST.__slots__}, "name": "second", "version": "2"})


def second(*scores: float) -> StubNetwork:
    """Return a second model with the given scores of the only finding, one a film; a negative one is a failure."""
    remaining = list(scores)

    def answer(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        (first,) = prediction(radiographs)
        score = remaining.pop(0)
        if score < 0:
            raise GiveUp(Reason.MODEL_ERROR, "cannot")
        presence = Presence.PRESENT if score >= 0.5 else Presence.ABSENT
        return (replace(first, model=SECOND, findings=(replace(first.findings[0], score=score, presence=presence),)),)

    return StubNetwork(answer)


def shadow_of(node: InProcessNode, network: StubNetwork) -> Shadow:
    executor = InProcess(ReadContext(archive=node.archive, rules=RULES))
    return Shadow(node.database, executor=executor, network=network, identity=SECOND, clock=node.clock)


def shadowed(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return view_rows.rows(connection, VIEWS["v1_shadow"], order="shadow_id")


@pytest.mark.ci_on_postgresql
def test_shadow_readings_follow_the_first_and_appear_in_their_view_only(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    shadow = shadow_of(node, second(0.2, 0.9))
    node.accept(films.dx())
    assert not shadow.turn(), "the first reader's film goes before"
    node.work()
    reports = len(node.pacs.received)

    assert shadow.turn()
    node.accept(films.dx(seed=2))
    node.work()
    assert shadow.turn()
    assert not shadow.turn()
    node.work()

    assert len(node.pacs.received) == reports + 1 == 2
    assert "second" not in str(node.pacs.reports())
    with database.read() as connection:
        rows = view_rows.rows(connection, VIEWS["v1_findings"])
        assert {(row["model_name"], row["score"], row["is_newest"] in (True, 1)) for row in rows} == {
            ("test", 0.75, True)
        }
        assert shadows.backlog(connection, shadow._model) == 0
    both = [(row["model_name"], row["score"], row["primary_score"], bool(row["differs"])) for row in shadowed(database)]
    assert both == [("second", 0.2, 0.75, True), ("second", 0.9, 0.75, False)]


@pytest.mark.ci_on_postgresql
def test_a_new_shadow_model_starts_with_films_received_from_then_on(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())
    node.work()

    assert not shadow_of(node, second(0.5)).turn()


@pytest.mark.ci_on_postgresql
def test_a_film_that_crashes_the_shadow_each_time_is_skipped(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    crashing = StubNetwork(lambda _: pytest.fail("simulated crash"))
    shadow = shadow_of(node, crashing)
    node.accept(films.dx())
    node.work()

    for _ in range(2):
        with pytest.raises(pytest.fail.Exception):
            shadow.turn()
    assert shadow.turn()

    assert [row["not_analysed"] for row in shadowed(database)] == [Reason.MODEL_ERROR]
    assert node.reader.calls == 1


@pytest.mark.ci_on_postgresql
def test_a_film_read_again_replaces_its_shadow_reading(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    shadow = shadow_of(node, second(0.2, 0.3))
    node.accept(films.dx())
    node.work()
    shadow.turn()
    node.accept(films.dx(seed=2, changes={"ViewPosition": "LL"}))  # a reading in between: numbers are not used again
    node.work()
    shadow.turn()
    (job,) = [job for job in node.jobs(Stage.READ) if job.state == "done"]
    with database.write() as transaction:
        queue.requeue(transaction, [job.job_id], actor="test", now=node.clock.now)
    node.work()

    shadow.turn()

    assert [row["score"] for row in shadowed(database) if row["score"] is not None] == [0.3]


@contextmanager
def compared(folder: Path, *scores: float) -> Iterator[Path]:
    """Yield the settings of a node whose films all score 0.75, with a shadow of the given scores."""
    config = settings_file(folder)
    settings = load(config)
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.clock.now = utc_now()
        shadow = shadow_of(node, second(*scores))
        for seed, _ in enumerate(scores):
            node.accept(films.dx(seed=seed))
            node.work()
            shadow.turn()
        yield config


def test_compare_shows_agreement_shift_and_differing_films(tmp_path: Path) -> None:
    with compared(tmp_path / "node", 0.8, 0.7, 0.1, 0.4, -1.0) as config:

        def compare(*arguments: str) -> str:
            ended = CliRunner().invoke(app, ["compare", *arguments, "--config", str(config)], env={"COLUMNS": "200"})
            assert ended.exit_code == 0, ended.output
            return ended.output

        plain = json.loads(compare("--json"))
        shown = compare("--bundle", "second@2", "--since", "1h")
        other = CliRunner().invoke(app, ["compare", "--bundle", "third", "--config", str(config)])

    (finding,) = plain["findings"].values()
    assert (plain["shadow"], plain["first"], plain["films"]) == ("second 2", "test 1", 5)
    assert (finding["both"], finding["first_only"], finding["second_only"], finding["neither"]) == (2, 2, 0, 0)
    assert finding["shift"] == pytest.approx(-0.25)
    assert finding["positive"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert plain["not_analysed_by_shadow_alone"] == 1
    assert [row["score"] for row in plain["differing"]] == [0.1, 0.4]
    assert "2 findings differ" in shown
    assert films.dx(seed=2).SOPInstanceUID in shown
    assert other.exit_code == 1
    assert "read.shadow" in other.output
