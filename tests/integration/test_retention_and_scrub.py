"""Only what is delivered and old is removed; what stays is held against its digest."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.commitment import Reference
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.pipeline import commit
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from cxr_node.records import readings, retention
from cxr_node.work.periodic.retention import remove_expired
from cxr_node.work.periodic.scrub import Scrubber
from tests.support import films
from tests.support.node import InProcessNode, received
from tests.support.running_node import opened, settings_file

KEEP = timedelta(days=30)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def removed(shop: InProcessNode) -> int:
    return remove_expired(shop.database, shop.archive, keep=KEEP, clock=shop.clock)


def kept(shop: InProcessNode) -> int:
    return len(list(shop.archive.kept_keys()))


def vouched(shop: InProcessNode) -> bool:
    film = films.dx()
    reference = Reference(sop_class_uid=Uid(film.SOPClassUID), sop_instance_uid=Uid(film.SOPInstanceUID))
    return bool(commit(Uid("1.2"), [reference], archive=shop.archive, database=shop.database).kept)


def test_a_delivered_study_is_removed_when_it_is_old_and_not_before(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    assert (removed(shop), kept(shop), vouched(shop)) == (0, 2, True)
    with shop.database.read() as connection:
        before = readings.latest(connection, 1, received(films.dx()).identity)
    shop.clock.go(days=29)
    assert (removed(shop), kept(shop)) == (0, 2)

    shop.clock.go(days=2)
    assert (removed(shop), kept(shop), vouched(shop)) == (1, 0, False)
    assert removed(shop) == 0
    with shop.database.read() as connection:
        assert [entry.fate for entry in ledger.entries(connection)] == [Fate.DELIVERED]
        assert ledger.archive_keys(connection) == set()
        after = readings.latest(connection, 1, received(films.dx()).identity)
    assert before is not None
    assert before.prediction is not None
    assert after is not None
    assert after.prediction is not None
    assert all(each.heat for each in before.prediction.findings)
    assert after.prediction.findings == tuple(replace(each, heat=None) for each in before.prediction.findings)


def test_what_is_removed_is_told_of_as_one_study_and_once(shop: InProcessNode) -> None:
    told: list[list[bytes]] = []
    shop.accept(films.dx())
    shop.accept(films.cr())
    shop.work()
    everything = {shop.archive.get(key) for key in shop.archive.kept_keys()}
    shop.clock.go(days=31)
    for _ in range(2):
        remove_expired(
            shop.database,
            shop.archive,
            keep=KEEP,
            clock=shop.clock,
            before_removal=lambda files: told.append(list(files)),
        )

    assert [set(files) for files in told] == [everything]


@pytest.mark.parametrize("stage", [Stage.READ, Stage.COMPOSE, Stage.DELIVER])
def test_what_is_not_delivered_is_never_removed(stage: Stage, shop: InProcessNode) -> None:
    shop.accept(films.dx())
    for each in (Stage.READ, Stage.COMPOSE, Stage.DELIVER)[: (Stage.READ, Stage.COMPOSE, Stage.DELIVER).index(stage)]:
        assert shop.turn(each)
        shop.clock.go(seconds=2)
    before = kept(shop)
    shop.clock.go(days=3650)
    assert (removed(shop), kept(shop)) == (0, before)


def test_what_a_person_must_look_at_is_never_removed(shop: InProcessNode) -> None:
    def away() -> None:
        raise RetryLater("away")

    shop.accept(films.dx(seed=1))
    shop.accept(films.dx(seed=1, changes={"PatientComments": "another"}))
    shop.work()
    shop.pacs.before = away
    shop.accept(films.dx(seed=2))
    shop.work()
    shop.clock.go(days=4)
    shop.work()
    assert shop.jobs(Stage.DELIVER)[-1].state is State.FAILED
    before = kept(shop)
    shop.clock.go(days=3650)
    assert (removed(shop), kept(shop)) == (0, before)


def test_a_late_film_keeps_its_whole_study(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(days=20)
    shop.accept(films.cr())
    shop.work()
    shop.clock.go(days=20)
    assert removed(shop) == 0


def test_a_film_of_a_removed_study_is_read_and_reported(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(days=31)
    assert removed(shop) == 1
    shop.accept(films.cr())
    shop.work()
    assert len(shop.pacs.arrived) == 2
    assert {job.state for job in shop.jobs()} == {State.DONE}


def test_a_removed_film_that_comes_again_is_kept_anew(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(days=31)
    assert removed(shop) == 1
    assert not shop.accept(films.dx())
    assert vouched(shop)
    shop.clock.go(days=29)
    assert (removed(shop), vouched(shop)) == (0, True)
    shop.clock.go(days=2)
    assert (removed(shop), vouched(shop)) == (1, False)


def test_a_crash_between_mark_and_removal_leaves_a_file_that_goes_next_time(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(days=31)
    with shop.database.write() as transaction:
        retention.mark_removed(transaction, before=shop.clock.now - KEEP, now=shop.clock.now)
    assert kept(shop) == 2
    assert removed(shop) == 0
    assert kept(shop) == 0


def test_a_film_that_comes_again_while_it_is_removed_is_not_lost(shop: InProcessNode) -> None:
    shop.accept(films.dx())
    shop.work()
    shop.clock.go(days=31)
    with shop.database.write() as transaction:
        retention.mark_removed(transaction, before=shop.clock.now - KEEP, now=shop.clock.now)
    with shop.database.read() as connection:
        marked = retention.removed_since(connection, since=shop.clock.now)
    shop.accept(films.dx())
    for each in marked:
        with shop.database.write() as transaction:
            retention.remove(transaction, each, shop.archive.discard)
    assert vouched(shop)


def test_scrubbing_finds_what_is_damaged_or_missing_within_its_budget(shop: InProcessNode) -> None:
    for seed in range(4):
        shop.accept(films.dx(seed=seed))
    keys = sorted(shop.archive.kept_keys())
    scrub = Scrubber(shop.database, shop.archive)
    assert scrub.turn(1) == []
    assert scrub.checked == 1
    assert scrub.turn(1 << 40) == []
    assert scrub.checked == 8

    shop.archive.discard(keys[0])
    content = shop.archive.get(keys[1])
    shop.archive.put(keys[1], content[:-1])
    shop.archive.put(keys[2], b"")
    found = {damage.kept.archive_key: damage.fault for damage in scrub.whole()}
    assert found == {keys[0]: "missing", keys[1]: "altered", keys[2]: "altered"}


def test_the_command_names_what_is_damaged(tmp_path: Path, database_url: str) -> None:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        shop = InProcessNode(database, settings.node.data_folder)
        shop.accept(films.dx())
        whole = CliRunner().invoke(app, ["scrub", "--config", str(config)])
        assert (whole.exit_code, whole.output) == (0, "1 files read, 0 damaged\n")
        (key,) = shop.archive.kept_keys()
        shop.archive.put(key, b"x" * 200)

    asked = CliRunner().invoke(app, ["scrub", "--config", str(config), "--json"])

    assert asked.exit_code == 1
    assert [each["archive_key"] for each in json.loads(asked.stdout)["damaged"]] == [key]
