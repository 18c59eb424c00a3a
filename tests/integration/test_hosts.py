"""Several hosts on one PostgreSQL: notifications, exclusive tasks, and a film across three hosts."""

import queue
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from cxr_node.archive.objects import Bucket
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.schema_version import Standing, standing
from cxr_node.db.states import Stage
from cxr_node.queue.postgres_listen import PostgresListener
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import films, peers, tiny_bundles
from tests.support.running_node import running, settings_file, to_pacs

SOON_S = 30.0


@pytest.fixture
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def notified(database: Database) -> Iterator[queue.Queue[Stage]]:
    """Stages that another host is notified of, without the notifications of its start."""
    stages: queue.Queue[Stage] = queue.Queue()
    with PostgresListener(database.engine.url.render_as_string(hide_password=False), stages.put):
        for _ in Stage:
            stages.get(timeout=SOON_S)
        yield stages


def test_another_host_is_notified_of_a_stage_with_new_work(database: Database, notified: queue.Queue[Stage]) -> None:
    with database.write() as transaction:
        transaction.notify.add(Stage.COMPOSE)

    assert notified.get(timeout=SOON_S) is Stage.COMPOSE


def test_a_rolled_back_transaction_notifies_no_host(database: Database, notified: queue.Queue[Stage]) -> None:
    def fails() -> None:
        with database.write() as transaction:
            transaction.notify.add(Stage.READ)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with database.write() as transaction:
        transaction.notify.add(Stage.DELIVER)

    assert notified.get(timeout=SOON_S) is Stage.DELIVER


def test_a_reconnected_host_is_notified_of_every_stage_and_listens_again(
    database: Database, notified: queue.Queue[Stage]
) -> None:
    with database.write() as transaction:
        ended = transaction.connection.execute(
            sql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        ).scalar()
    assert ended == 1
    assert {notified.get(timeout=SOON_S) for _ in Stage} == set(Stage)

    with database.write() as transaction:
        transaction.notify.add(Stage.READ)
    assert notified.get(timeout=SOON_S) is Stage.READ


def test_an_exclusive_task_runs_on_one_host_at_a_time(database: Database) -> None:
    with (
        database.exclusive("remove") as first,
        database.exclusive("remove") as second,
        database.exclusive("other") as third,
    ):
        assert (first, second, third) == (True, False, True)
    with database.exclusive("remove") as again:
        assert again


def test_hosts_that_start_together_migrate_once(database_url: str) -> None:
    hosts = [Database(database_url) for _ in range(4)]
    together = threading.Barrier(len(hosts))

    def start(host: Database) -> bool:
        together.wait(SOON_S)
        migrate.upgrade(host)
        with host.read() as connection:
            return standing(connection) is Standing.SAME

    try:
        with ThreadPoolExecutor(len(hosts)) as pool:
            assert all(pool.map(start, hosts))
    finally:
        for host in hosts:
            host.close()


def test_one_host_receives_another_reads_and_a_third_delivers(
    database_url: str, bucket: Bucket, tmp_path: Path
) -> None:
    """The hosts share the database and the bucket only; each has its own folder, and a tick of an hour."""
    model = tiny_bundles.bundle(tmp_path / "model")
    received: queue.Queue[object] = queue.Queue()
    with SimulatedPacs(tmp_path / "pacs", on_stored=received.put) as pacs:
        settings = {
            name: _host(tmp_path / name, database_url, bucket, model, to_pacs(pacs.port, pacs.ae_title))
            for name in ("a", "b", "c")
        }
        with (
            running(settings["a"], wait_for=("receive",), roles=("receive",)) as receiving,
            running(settings["b"], wait_for=("read",), roles=("read",)),
            running(settings["c"], wait_for=("deliver",), roles=("deliver",)),
        ):
            sent = peers.storescu(receiving.port, films.written(films.dx(), tmp_path))
            assert sent.returncode == 0, sent.stderr
            received.get(timeout=SOON_S)
            jobs = receiving.until_idle()

    assert {job.stage for job in jobs} == {Stage.READ, Stage.COMPOSE, Stage.DELIVER}
    assert received.empty()
    assert not list(tmp_path.glob("*/cxr-node-data/archive"))


def _host(folder: Path, database_url: str, bucket: Bucket, model: Path, pacs: Mapping[str, object]) -> Path:
    """Write the settings of a host that waits for notifications only: its tick is an hour."""
    path = settings_file(
        folder, database_url=database_url, destinations=(pacs,), more=f'[node]\nhost = "{folder.name}"'
    )
    changes = {
        "reserve_bytes = 0": f'reserve_bytes = 0\nbucket = "{bucket.name}"\nbucket_endpoint = "{bucket.endpoint}"',
        "[read]": f'[read]\nbundle = "{model}"',
        "tick_s = 1": "tick_s = 3600",
    }
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path
