"""Activated bundle: all readers switch to it while films arrive."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.states import Event, Stage, State
from cxr_node.infer.reader import Reader
from cxr_node.ops import alarms
from cxr_node.ops.checks import node as checks
from cxr_node.queue import search
from cxr_node.records import bundles, readings
from cxr_node.records import films as film_records
from cxr_node.settings.root import Settings
from cxr_node.wiring.active_bundle import ActiveBundle
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from tests.support import films, tiny_bundles
from tests.support.node import InProcessNode
from tests.support.peers import until
from tests.support.queue import NOON
from tests.support.running_node import RunningNode, opened, running, settings_file

SOON_S = 240.0
Command = Callable[..., Result]
SECOND = ((r'version = "1.2.3"', 'version = "2.0.0"'),)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = settings_file(tmp_path)
    folder = tiny_bundles.bundle(tmp_path / "first")
    path.write_text(
        path.read_text(encoding="utf-8").replace("[read]", f'[read]\nbundle = "{folder}"'), encoding="utf-8"
    )
    settings = load(path)
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
    return path


@pytest.fixture
def cxr_node(config: Path) -> Command:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(config)])

    return run


def active_bundle(process: Process) -> ActiveBundle[Reader]:
    return ActiveBundle(process, open_reader=partial(open_reader, process))


def _read(node: RunningNode) -> int:
    return sum(job.state is State.DONE for job in node.jobs(Stage.READ))


def _uses(settings: Settings) -> list[bundles.BundleUse]:
    with opened(settings) as database, database.read() as connection:
        return bundles.uses(connection)


def changed(bundle: ActiveBundle[Reader]) -> str:
    """Poll, wait for the bundle to be loaded, and return the version of the active one."""
    bundle.poll()
    if bundle._loader is not None:
        bundle._loader.join(60)
    return bundle.reader.identity.version


def test_readers_change_to_an_activated_bundle_and_back(config: Path, cxr_node: Command, tmp_path: Path) -> None:
    settings = load(config)
    with Process.open(settings) as process:
        database, reader = process.database, active_bundle(process)
        assert changed(reader) == "1.2.3"

        activated = cxr_node("bundle", "activate", str(tiny_bundles.bundle(tmp_path / "second", changes=SECOND)))
        assert activated.exit_code == 0, activated.output
        assert changed(reader) == "2.0.0"
        assert changed(active_bundle(process)) == "2.0.0"
        (use,) = _uses(settings)
        assert (use.is_rejected, use.detail) == (False, "")
        assert "tiny 2.0.0" in cxr_node("bundle", "uses").output
        assert "used on 1 host" in checks.activated_bundle(database)[0].message

        assert cxr_node("bundle", "deactivate").exit_code == 0
        assert changed(reader) == "1.2.3"
        assert checks.activated_bundle(database) == []


def test_a_host_without_the_files_installs_them_from_the_archive(
    config: Path, cxr_node: Command, tmp_path: Path
) -> None:
    second = tiny_bundles.bundle(tmp_path / "second", changes=SECOND)
    assert cxr_node("bundle", "activate", str(second)).exit_code == 0
    for file in second.iterdir():
        file.unlink()

    settings = load(config)
    with Process.open(settings) as process:
        assert active_bundle(process).reader.identity.version == "2.0.0"


@pytest.mark.parametrize("fault", ["changed in the archive", "gone from the archive", "fails at warm-up"])
def test_an_unusable_bundle_is_refused_visibly_and_the_old_one_reads_on(
    config: Path, cxr_node: Command, tmp_path: Path, fault: str
) -> None:
    settings = load(config)
    with Process.open(settings) as process:
        database = process.database

        def open_or_fail(folder: Path | None) -> Reader:
            if folder is not None and fault == "fails at warm-up":
                raise RuntimeError("no memory on this device")
            return open_reader(process, folder)

        reader = ActiveBundle(process, open_reader=open_or_fail)
        cxr_node("bundle", "activate", str(tiny_bundles.bundle(tmp_path / "second", changes=SECOND)))
        with database.read() as connection:
            choice = bundles.newest(connection)
        assert choice is not None
        assert choice.bundle is not None
        key = choice.bundle.archive_key
        if fault == "changed in the archive":
            process.archive.put(key, b"another")
        elif fault == "gone from the archive":
            process.archive.discard(key)

        assert changed(reader) == "1.2.3"

        (use,) = _uses(settings)
        assert use.is_rejected
        assert "is rejected by" in checks.activated_bundle(database)[0].message
        assert f"bundle on {use.host}" in alarms.active_alarms(settings, database, now=NOON)
        assert "REJECTED" in cxr_node("bundle", "uses").output
        assert not reader._loader or not reader._loader.is_alive()
        reader.poll()
        assert not reader._loader or not reader._loader.is_alive()  # once is enough


def test_a_hostile_bundle_is_not_activated(cxr_node: Command, tmp_path: Path) -> None:
    folder = tiny_bundles.bundle(tmp_path / "hostile")
    (folder / "network.pt2").write_bytes(b"another network")

    activated = cxr_node("bundle", "activate", str(folder))

    assert activated.exit_code != 0
    assert "SHA-256" in activated.output
    assert "none, readers use their settings" in cxr_node("bundle", "uses").output


def test_a_switch_under_load_reads_each_film_once_with_a_named_bundle(
    config: Path, cxr_node: Command, tmp_path: Path
) -> None:
    """A running reader with a preprocessing pool; films arrive before, during and after the switch."""
    config.write_text(config.read_text(encoding="utf-8").replace("processes = 0", "processes = 2"))
    settings = load(config)
    with opened(settings) as database:
        in_process = InProcessNode(database, settings.node.data_folder)
        with running(config, wait_for=("read",), roles=("read",)) as node:
            for seed in range(6):
                in_process.accept(films.dx(seed=seed, rows=300, columns=280))
            until(lambda: _read(node) > 0, what="the first reading", timeout_s=SOON_S)
            activated = cxr_node("bundle", "activate", str(tiny_bundles.bundle(tmp_path / "second", changes=SECOND)))
            assert activated.exit_code == 0, activated.output
            for seed in range(6, 12):
                in_process.accept(films.dx(seed=seed, rows=300, columns=280))
            until(lambda: bool(_uses(settings)), what="the switch", timeout_s=SOON_S)
            for seed in range(12, 15):
                in_process.accept(films.dx(seed=seed, rows=300, columns=280))
            until(lambda: _read(node) == 15, what="the end of reading", timeout_s=SOON_S)
        jobs = sorted(in_process.jobs(Stage.READ), key=lambda job: job.job_id)
        versions, times = [], []
        with database.read() as connection:
            for job in jobs:
                assert job.film_id is not None
                film = film_records.get(connection, job.film_id)
                read = readings.latest(connection, film.film_id, film.identity)
                assert read is not None
                assert read.prediction is not None
                versions.append(read.prediction.model.version)
                events = [entry.event for entry in search.events(connection, job.job_id)]
                times.append(events.count(Event.FINISHED))

    assert times == [1] * 15
    assert set(versions) == {"1.2.3", "2.0.0"}
    assert versions[:1] + versions[-3:] == ["1.2.3", *["2.0.0"] * 3]
