"""Retention and scrub: only old delivered studies are removed; the rest is verified by digest."""

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
from cxr_node.domain.reasons import Reason
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
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path)


def remove_expired_studies(node: InProcessNode) -> int:
    return remove_expired(node.database, node.archive, keep=KEEP, clock=node.clock)


def archived_files(node: InProcessNode) -> int:
    return len(list(node.archive.stored_keys()))


def is_committed(node: InProcessNode) -> bool:
    film = films.dx()
    reference = Reference(sop_class_uid=Uid(film.SOPClassUID), sop_instance_uid=Uid(film.SOPInstanceUID))
    return bool(commit(Uid("1.2"), [reference], archive=node.archive, database=node.database).committed)


def test_a_delivered_study_is_removed_when_it_is_old_and_not_before(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    assert (remove_expired_studies(node), archived_files(node), is_committed(node)) == (0, 2, True)
    with node.database.read() as connection:
        before = readings.latest(connection, 1, received(films.dx()).identity)
    node.clock.advance(days=29)
    assert (remove_expired_studies(node), archived_files(node)) == (0, 2)

    node.clock.advance(days=2)
    assert (remove_expired_studies(node), archived_files(node), is_committed(node)) == (1, 0, False)
    assert remove_expired_studies(node) == 0
    with node.database.read() as connection:
        assert [entry.fate for entry in ledger.entries(connection)] == [Fate.DELIVERED]
        assert ledger.archive_keys(connection) == set()
        after = readings.latest(connection, 1, received(films.dx()).identity)
    assert before is not None
    assert before.prediction is not None
    assert after is not None
    assert after.prediction is not None
    assert all(finding.heat for finding in before.prediction.findings)
    assert after.prediction.findings == tuple(replace(finding, heat=None) for finding in before.prediction.findings)


def test_removal_is_announced_once_a_study(node: InProcessNode) -> None:
    announced: list[list[bytes]] = []
    node.accept(films.dx())
    node.accept(films.cr())
    node.work()
    everything = {node.archive.get(key) for key in node.archive.stored_keys()}
    node.clock.advance(days=31)
    for _ in range(2):
        remove_expired(
            node.database,
            node.archive,
            keep=KEEP,
            clock=node.clock,
            before_removal=lambda files: announced.append(list(files)),
        )

    assert [set(files) for files in announced] == [everything]


@pytest.mark.parametrize("stage", [Stage.READ, Stage.COMPOSE, Stage.DELIVER])
def test_undelivered_studies_are_never_removed(stage: Stage, node: InProcessNode) -> None:
    node.accept(films.dx())
    for earlier in (Stage.READ, Stage.COMPOSE, Stage.DELIVER)[
        : (Stage.READ, Stage.COMPOSE, Stage.DELIVER).index(stage)
    ]:
        assert node.turn(earlier)
        node.clock.advance(seconds=2)
    before = archived_files(node)
    node.clock.advance(days=3650)
    assert (remove_expired_studies(node), archived_files(node)) == (0, before)


def test_failed_studies_are_never_removed(node: InProcessNode) -> None:
    conflict = films.dx(seed=3)
    conflict.PixelData = bytes(len(conflict.PixelData))

    def unreachable() -> None:
        raise RetryLater("unreachable")

    node.accept(films.dx(seed=3))
    node.accept(conflict)
    node.work()
    assert {job.reason for job in node.jobs(Stage.READ)} == {None, Reason.DUPLICATE}
    node.pacs.before_send = unreachable
    node.accept(films.dx(seed=2))
    node.work()
    node.clock.advance(days=4)
    node.work()
    assert node.jobs(Stage.DELIVER)[-1].state is State.FAILED
    before = archived_files(node)
    node.clock.advance(days=3650)
    assert (remove_expired_studies(node), archived_files(node)) == (0, before)


def test_the_same_film_in_other_bytes_is_removed_with_its_study(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.accept(films.dx(changes={"PatientComments": "another"}))
    node.work()
    assert archived_files(node) == 3
    node.clock.advance(days=31)
    assert (remove_expired_studies(node), archived_files(node)) == (1, 0)


def test_a_late_film_keeps_its_whole_study(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=20)
    node.accept(films.cr())
    node.work()
    node.clock.advance(days=20)
    assert remove_expired_studies(node) == 0


def test_a_film_of_a_removed_study_is_read_and_reported(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=31)
    assert remove_expired_studies(node) == 1
    node.accept(films.cr())
    node.work()
    assert len(node.pacs.received) == 2
    assert {job.state for job in node.jobs()} == {State.DONE}


def test_a_removed_film_received_again_is_archived_again(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=31)
    assert remove_expired_studies(node) == 1
    assert not node.accept(films.dx())
    assert is_committed(node)
    node.clock.advance(days=29)
    assert (remove_expired_studies(node), is_committed(node)) == (0, True)
    node.clock.advance(days=2)
    assert (remove_expired_studies(node), is_committed(node)) == (1, False)


def test_a_file_left_by_a_crash_is_removed_next_time(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=31)
    with node.database.write() as transaction:
        retention.mark_removed(transaction, before=node.clock.now - KEEP, now=node.clock.now)
    assert archived_files(node) == 2
    assert remove_expired_studies(node) == 0
    assert archived_files(node) == 0


def test_a_film_received_again_during_its_removal_is_not_lost(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(days=31)
    with node.database.write() as transaction:
        retention.mark_removed(transaction, before=node.clock.now - KEEP, now=node.clock.now)
    with node.database.read() as connection:
        marked = retention.removed_since(connection, since=node.clock.now)
    node.accept(films.dx())
    for file in marked:
        with node.database.write() as transaction:
            retention.remove(transaction, file, node.archive.discard)
    assert is_committed(node)


def test_scrub_finds_damaged_and_missing_files_within_its_budget(node: InProcessNode) -> None:
    for seed in range(4):
        node.accept(films.dx(seed=seed))
    keys = sorted(node.archive.stored_keys())
    scrubber = Scrubber(node.database, node.archive)
    assert scrubber.turn(1) == []
    assert scrubber.checked == 1
    assert scrubber.turn(1 << 40) == []
    assert scrubber.checked == 8

    node.archive.discard(keys[0])
    content = node.archive.get(keys[1])
    node.archive.put(keys[1], content[:-1])
    node.archive.put(keys[2], b"")
    faults = {damage.file.archive_key: damage.fault for damage in scrubber.whole()}
    assert faults == {keys[0]: "missing", keys[1]: "altered", keys[2]: "altered"}


def test_the_scrub_command_names_damaged_files(tmp_path: Path, database_url: str) -> None:
    config = settings_file(tmp_path / "node", database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.accept(films.dx())
        whole = CliRunner().invoke(app, ["scrub", "--config", str(config)])
        assert (whole.exit_code, whole.output) == (0, "1 files read, 0 damaged\n")
        (key,) = node.archive.stored_keys()
        node.archive.put(key, b"x" * 200)

    scrubbed = CliRunner().invoke(app, ["scrub", "--config", str(config), "--json"])

    assert scrubbed.exit_code == 1
    assert [file["archive_key"] for file in json.loads(scrubbed.stdout)["damaged"]] == [key]
