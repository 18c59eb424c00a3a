"""Copy of all rows between SQLite and PostgreSQL by command, and what it refuses."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.states import State
from cxr_node.db.tables import job
from cxr_node.domain.clock import utc_now
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.queries import ledger
from cxr_node.queries.ledger import Fate
from tests.integration.test_backup import contents, run
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file


@pytest.fixture
def source(tmp_path: Path, database_url: str) -> Iterator[tuple[Path, InProcessNode]]:
    """Settings and parts of a node with a delivered study and a film that waits."""
    config = settings_file(tmp_path, database_url=database_url)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.accept(films.dx())
        node.work()
        node.accept(films.dx(seed=1))
        yield config, node


@pytest.fixture
def target(
    source: tuple[Path, InProcessNode], database_url: str, database_kind: str, new_postgresql_url: Callable[[], str]
) -> Path:
    """The same settings with an empty database of the other kind."""
    config, _ = source
    url = new_postgresql_url() if database_kind == "sqlite" else f"sqlite:///{config.parent / 'target.db'}"
    path = config.with_name("target.toml")
    path.write_text(config.read_text("utf-8").replace(json.dumps(database_url), json.dumps(url)), encoding="utf-8")
    return path


def test_every_row_is_in_the_other_database_and_the_node_continues(
    source: tuple[Path, InProcessNode], target: Path
) -> None:
    config, node = source
    before = contents(node.database)

    counts = json.loads(run("db", "copy", str(target), "--config", str(config), "--json"))

    assert counts == {name: len(rows) for name, rows in before.items()}
    assert counts["film"] == 2
    settings = load(target)
    with opened(settings) as database:
        assert contents(database) == before
        copied = InProcessNode(database, settings.node.data_folder)
        copied.clock.now = node.clock.now
        copied.accept(films.dx(seed=2))
        copied.work()
        with database.read() as connection:
            assert [entry.fate for entry in ledger.entries(connection)] == [Fate.DELIVERED] * 3
    assert contents(node.database) == before

    assert "the target has rows" in refused(target, config)


def test_a_running_node_here_or_elsewhere_is_refused(source: tuple[Path, InProcessNode], target: Path) -> None:
    config, node = source
    with data_folder_lock(load(config).node.data_folder):
        assert "a node runs in this data folder" in refused(target, config)

    with node.database.write() as transaction:
        lease = {"state": State.RUNNING, "lease_owner": "north@b/read/1", "lease_until": utc_now() + timedelta(hours=1)}
        transaction.connection.execute(update(job).where(job.c.state == State.WAITING).values(lease))

    assert "jobs are claimed by north@b/read/1" in refused(target, config)


def test_the_same_database_and_other_films_are_refused(source: tuple[Path, InProcessNode], target: Path) -> None:
    config, _ = source
    assert "name the same database" in refused(config, config)

    elsewhere = target.with_name("elsewhere.toml")
    elsewhere.write_text(f'[node]\ndata_folder = "other"\n{target.read_text("utf-8")}', encoding="utf-8")

    assert "must have the same node.data_folder" in refused(elsewhere, config)


def refused(target: Path, config: Path) -> str:
    """Return the sentence of a copy that is refused, on one line."""
    return " ".join(run("db", "copy", str(target), "--config", str(config), exit_code=1).split())
