"""Databases that tests run on: SQLite and a real PostgreSQL, each empty and at the present schema."""

import gc
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cxr_node.archive.objects import Bucket
from cxr_node.db.database import Database
from tests.support import marks, object_store, postgresql, receiver, shared_files

KINDS = ("sqlite", "postgresql")

settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any load")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let every test that receives films do so on the other path, and every program in several processes."""
    parser.addoption("--receive-path", choices=receiver.PATHS, default="streaming", help="path of reception")
    parser.addoption("--receive-processes", type=int, default=1, help="in how many processes programs receive")


def pytest_configure(config: pytest.Config) -> None:
    """Choose that path and number, and begin the files that all processes share."""
    receiver.ReceivePath.chosen = config.getoption("--receive-path")
    receiver.ReceiveProcesses.chosen = config.getoption("--receive-processes")
    if (folder := shared_files.begin()) is not None:
        config.add_cleanup(lambda: _end(folder))
        for abandoned in shared_files.abandoned():
            postgresql.stop(abandoned)
            shutil.rmtree(abandoned, ignore_errors=True)


def _end(folder: Path) -> None:
    postgresql.stop(folder)
    shared_files.end(folder)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without garbage collections: a sixth of the time in each process, and nothing would be freed."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Collect garbage after each file, and leave what is alive then out of further collections.

    Modules, types and caches stay: without this each further collection goes through all of them again.
    """
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            gc.collect()
            gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark PostgreSQL variants, and end the run if a `ci` test names no test that runs in its place."""
    marks.mark_postgresql(items)
    if faults := marks.ci_faults(items):
        raise pytest.UsageError("\n".join(faults))


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """Undo what a command of the test sets: the level below which the node's log is left out."""
    log = logging.getLogger("cxr_node")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(params=receiver.PATHS)
def receive_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both paths, one after the other."""
    path: str = request.param
    monkeypatch.setattr(receiver.ReceivePath, "chosen", path)
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """The URL of a PostgreSQL server, which lives as long as the test run."""
    return postgresql.server()


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which kind of database the test runs on."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database at the present schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "node.db"
    postgresql.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_template() -> str:
    """The name of a PostgreSQL database at the present schema, to be copied."""
    return postgresql.migrated()


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; at the present schema if the test asks for `database` too."""
    is_migrated = "database" in request.fixturenames
    if database_kind == "sqlite":
        path = tmp_path / "node.db"
        if is_migrated:
            shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    template = request.getfixturevalue("migrated_template") if is_migrated else "template1"
    return postgresql.create_database(
        request.getfixturevalue("postgresql_server"), f"test_{uuid.uuid4().hex}", template
    )


@pytest.fixture(scope="session")
def new_postgresql_url(postgresql_server: str) -> Callable[[], str]:
    """Create empty PostgreSQL databases, and return the URL of each."""
    return lambda: postgresql.create_database(postgresql_server, f"test_{uuid.uuid4().hex}")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database at the present schema."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[str]:
    """The address of an S3-speaking store that lives as long as the test session."""
    with object_store.running() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(object_store_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and the environment to be let in."""
    for name, value in object_store.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return object_store.new_bucket(object_store_server)
