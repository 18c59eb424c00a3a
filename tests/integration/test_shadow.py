"""Shadow mode in a whole node: a second model reads after the first, and nothing of it leaves."""

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
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import ModelIdentity, Prediction, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue
from cxr_node.reading.context import ReadContext
from cxr_node.reading.executor import InProcess
from cxr_node.records import shadow as shadows
from cxr_node.wiring import process
from cxr_node.work.periodic.shadow import Shadow
from tests.support import films
from tests.support.node import RULES, InProcessNode, Says, prediction
from tests.support.running_node import opened, settings_file
from tests.support.tiny_bundles import film as noise

FIRST = prediction([noise(rows=8, columns=8)])[0].model
SECOND = ModelIdentity(**{**{n: getattr(FIRST, n) for n in FIRST.__slots__}, "name": "second", "version": "2"})


def second(*scores: float) -> Says:
    """Return a second model with the given scores of the only finding, one a film; a negative one is a failure."""
    remaining = list(scores)

    def answer(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        (first,) = prediction(radiographs)
        score = remaining.pop(0)
        if score < 0:
            raise GiveUp(Reason.MODEL_ERROR, "cannot")
        presence = Presence.PRESENT if score >= 0.5 else Presence.ABSENT
        return (replace(first, model=SECOND, findings=(replace(first.findings[0], score=score, presence=presence),)),)

    return Says(answer)


def shadow_of(shop: InProcessNode, network: Says) -> Shadow:
    executor = InProcess(ReadContext(archive=shop.archive, rules=RULES))
    return Shadow(shop.database, executor=executor, network=network, identity=SECOND, clock=shop.clock)


def shadowed(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return view_rows.rows(connection, VIEWS["v1_shadow"], order="shadow_id")


def test_a_shadow_reads_after_the_first_and_what_it_says_is_in_its_own_view_alone(
    database: Database, tmp_path: Path
) -> None:
    shop = InProcessNode(database, tmp_path)
    shadow = shadow_of(shop, second(0.2, 0.9))
    shop.accept(films.dx())
    assert not shadow.turn(), "the first reader's film goes before"
    shop.work()
    reports = len(shop.pacs.arrived)

    assert shadow.turn()
    shop.accept(films.dx(seed=2))
    shop.work()
    assert shadow.turn()
    assert not shadow.turn()
    shop.work()

    assert len(shop.pacs.arrived) == reports + 1 == 2
    assert "second" not in str(shop.pacs.reports())
    with database.read() as connection:
        said = view_rows.rows(connection, VIEWS["v1_findings"])
        assert {(row["model_name"], row["score"], row["is_newest"] in (True, 1)) for row in said} == {
            ("test", 0.75, True)
        }
        assert shadows.backlog(connection, shadow._model) == 0
    both = [(row["model_name"], row["score"], row["primary_score"], bool(row["differs"])) for row in shadowed(database)]
    assert both == [("second", 0.2, 0.75, True), ("second", 0.9, 0.75, False)]


def test_a_new_shadow_begins_with_the_films_that_come_from_then_on(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    shop.accept(films.dx())
    shop.work()

    assert not shadow_of(shop, second(0.5)).turn()


def test_a_film_that_kills_the_shadow_each_time_is_passed_over(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    dying = Says(lambda _: pytest.fail("as if it had died"))
    shadow = shadow_of(shop, dying)
    shop.accept(films.dx())
    shop.work()

    for _ in range(2):
        with pytest.raises(pytest.fail.Exception):
            shadow.turn()
    assert shadow.turn()

    assert [row["not_analysed"] for row in shadowed(database)] == [Reason.MODEL_ERROR]
    assert shop.reader.times == 1


def test_a_film_read_again_is_read_again_in_the_shadow_in_place_of_before(database: Database, tmp_path: Path) -> None:
    shop = InProcessNode(database, tmp_path)
    shadow = shadow_of(shop, second(0.2, 0.3))
    shop.accept(films.dx())
    shop.work()
    shadow.turn()
    shop.accept(films.dx(seed=2, changes={"ViewPosition": "LL"}))  # a reading in between: numbers are not used again
    shop.work()
    shadow.turn()
    (job,) = [each for each in shop.jobs(Stage.READ) if each.state == "done"]
    with database.write() as transaction:
        queue.requeue(transaction, [job.job_id], actor="test", now=shop.clock.now)
    shop.work()

    shadow.turn()

    assert [row["score"] for row in shadowed(database) if row["score"] is not None] == [0.3]


@contextmanager
def compared(folder: Path, *scores: float) -> Iterator[Path]:
    """Yield the settings of a node whose films all score 0.75, with a shadow that scores as told."""
    config = settings_file(folder)
    settings = load(config)
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        shop = InProcessNode(database, settings.node.data_folder)
        shop.clock.now = process.now()
        shadow = shadow_of(shop, second(*scores))
        for seed, _ in enumerate(scores):
            shop.accept(films.dx(seed=seed))
            shop.work()
            shadow.turn()
        yield config


def test_compare_says_agreement_shift_and_which_films_differ(tmp_path: Path) -> None:
    with compared(tmp_path / "node", 0.8, 0.7, 0.1, 0.4, -1.0) as config:

        def said(*arguments: str) -> str:
            ended = CliRunner().invoke(app, ["compare", *arguments, "--config", str(config)], env={"COLUMNS": "200"})
            assert ended.exit_code == 0, ended.output
            return ended.output

        plain = json.loads(said("--json"))
        shown = said("--bundle", "second@2", "--since", "1h")
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
