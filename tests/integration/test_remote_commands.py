"""Commands and state of a node with a remote reader: bundles, doctor, status, alarms, metrics, replay, shadow."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import utc_now
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import digest_of
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.reader import Reader
from cxr_node.infer.remote.outcome import RequestOutcome
from cxr_node.ops.alarms import active_alarms
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.settings.root import Settings
from cxr_node.simulators.inference_server import Mode, SimulatedInferenceServer, Tensor
from cxr_node.web import remote_metrics
from cxr_node.wiring import preprocessing
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from cxr_node.wiring.remote import open_network
from cxr_node.wiring.remote_state import read_state, state_file
from cxr_node.wiring.shadow import _run_if_usable
from tests.support import films, remote, tiny_bundles
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file

Command = Callable[..., Result]
READ = 1
"""Job number."""


@pytest.fixture
def simulated() -> Iterator[SimulatedInferenceServer]:
    with SimulatedInferenceServer(remote.compute) as server:
        yield server


def configured(
    folder: Path, simulated: SimulatedInferenceServer, *, bundle: Path | None = None, **section: Any
) -> Path:
    """Write the settings of a node with a remote reader, and its database; return their path."""
    path = settings_file(
        folder, more="\n".join(["[remote]", *_lines({"url": simulated.url, "timeout_s": 2.0, **section})])
    )
    bundle = bundle or remote.bundle(folder / "bundle")
    text = path.read_text(encoding="utf-8").replace("[read]", f'[read]\nkind = "remote"\nbundle = "{bundle}"')
    path.write_text(text, encoding="utf-8")
    settings = load(path)
    settings.node.data_folder.mkdir(parents=True)
    with opened(settings) as database:
        migrate.upgrade(database)
    return path


def _lines(entries: dict[str, Any]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in entries.items()]


@pytest.fixture
def config(tmp_path: Path, simulated: SimulatedInferenceServer) -> Path:
    return configured(tmp_path / "node", simulated)


def command(config: Path) -> Command:
    """Return a function that runs a command with these settings."""
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--config", str(config)])


def read_a_film(config: Path) -> str:
    """Read a film with the network of the settings; return the preparation that the job names."""
    settings = load(config)
    with Process.open(settings) as process:
        switch = open_network(process, open_local=open_reader)
        assert isinstance(switch, RemoteSwitch)
        node = InProcessNode(
            process.database,
            settings.node.data_folder,
            network=switch.select,
            rules=preprocessing.read_rules(settings),
        )
        node.accept(films.dx(rows=300, columns=280))
        node.work()
        (job,) = node.jobs(Stage.READ)
        assert job.state is State.DONE, job.detail
    return str(json.loads(command(config)("jobs", "show", str(READ), "--json").output)["preparation"])


def test_a_bundle_without_a_network_file_is_installed_and_exported(tmp_path: Path, config: Path) -> None:
    cxr_node = command(config)
    folder = remote.bundle(tmp_path / "made")

    verified = cxr_node("bundle", "verify", str(folder))
    installed = cxr_node("bundle", "install", str(folder))
    exported = cxr_node("bundle", "export", "tiny", str(tmp_path / "tiny.zip"))
    again = cxr_node("bundle", "install", str(tmp_path / "tiny.zip"))
    shown = cxr_node("bundle", "show", "tiny")

    assert "remote model chest version 3 runs" in verified.output
    assert [result.exit_code for result in (verified, installed, exported, again, shown)] == [0] * 5
    assert "remote model chest version 3" in shown.output


def test_a_bundle_without_a_network_file_needs_a_server(tmp_path: Path) -> None:
    path = settings_file(tmp_path / "node")
    bundle = remote.bundle(tmp_path / "bundle")
    path.write_text(path.read_text().replace("[read]", f'[read]\nbundle = "{bundle}"'), encoding="utf-8")

    with Process.open(load(path)) as process, pytest.raises(BundleError, match=r'set read\.kind = "remote"'):
        open_network(process, open_local=open_reader)


def test_the_fallback_reads_and_is_named(tmp_path: Path, simulated: SimulatedInferenceServer) -> None:
    local = tiny_bundles.bundle(tmp_path / "local")
    config = configured(tmp_path / "node", simulated, fallback="local", fallback_bundle=str(local))
    simulated.stop()

    assert read_a_film(config).endswith(", in place of remote model chest version 3")
    assert command(config)("replay", str(READ)).exit_code == 0


def test_the_network_of_a_local_bundle_may_run_at_the_server(
    tmp_path: Path, simulated: SimulatedInferenceServer
) -> None:
    simulated.compute = lambda film: {f"finding_{name}": value for name, value in remote.compute(film).items()}
    bundle = tiny_bundles.bundle(tmp_path / "local")
    config = configured(tmp_path / "node", simulated, bundle=bundle, model="chest", model_version="3")

    with Process.open(load(config)) as process:
        switch = _switch(process)
        switch.remote.check()

    assert switch.identity.weights_digest == digest_of(tiny_bundles.network())
    assert switch.identity.preparation.endswith(", by remote model chest version 3")


@pytest.mark.parametrize(
    ("bundle", "section", "expected"),
    [
        (remote.bundle, {"model": "chest", "model_version": "4"}, "leave remote.model and remote.model_version empty"),
        (tiny_bundles.bundle, {}, "set remote.model and remote.model_version"),
        (remote.bundle, {"fallback": "local"}, "cannot be the fallback"),
    ],
)
def test_settings_and_card_that_do_not_fit_are_refused(
    tmp_path: Path,
    simulated: SimulatedInferenceServer,
    bundle: Callable[[Path], Path],
    section: dict[str, str],
    expected: str,
) -> None:
    config = configured(tmp_path / "node", simulated, bundle=bundle(tmp_path / "bundle"), **section)

    with Process.open(load(config)) as process, pytest.raises(BundleError, match=expected):
        open_network(process, open_local=open_reader)


def test_an_activated_bundle_with_a_network_file_is_read_on_this_host(tmp_path: Path, config: Path) -> None:
    with Process.open(load(config)) as process:
        assert isinstance(
            open_network(process, tiny_bundles.bundle(tmp_path / "local"), open_local=open_reader), Reader
        )
        assert isinstance(
            open_network(process, remote.bundle(tmp_path / "remote"), open_local=open_reader), RemoteSwitch
        )


def _switch(process: Process) -> RemoteSwitch:
    switch = open_network(process, open_local=open_reader)
    assert isinstance(switch, RemoteSwitch)
    return switch


def checks(config: Path) -> dict[str, tuple[str, str, str]]:
    """Return the checks of the doctor by name."""
    document = json.loads(command(config)("doctor", "--json").output)
    return {check["name"]: (check["status"], check["message"], check["next_step"]) for check in document["checks"]}


def test_doctor_asks_the_server_whether_the_version_is_ready(config: Path, simulated: SimulatedInferenceServer) -> None:
    right = checks(config)
    simulated.mode = Mode.WRONG_VERSION
    wrong = checks(config)["inference server"]
    simulated.stop()
    away = checks(config)["inference server"]

    assert right["bundle"][0] == "ok"
    assert right["inference server"][:2] == (
        "ok",
        f"remote model chest version 3 at {simulated.url} is ready and reads a black film",
    )
    assert wrong[0] == away[0] == "problem"
    assert "version '4'" in wrong[1]
    assert "deploy the version" in wrong[2]
    assert "is unreachable" in away[1]


def test_status_alarms_and_metrics_name_the_trouble(config: Path, simulated: SimulatedInferenceServer) -> None:
    settings = load(config)
    simulated.mode = Mode.SLOW
    settings = settings.model_copy(update={"remote": settings.remote.model_copy(update={"timeout_s": 0.2})})
    with Process.open(settings) as process:
        assert "inference server" not in active_alarms(settings, process.database, now=utc_now())
        switch = _switch(process)
        alarm = active_alarms(settings, process.database, now=utc_now())["inference server"]
        status = " ".join(command(config)("status").output.split())
        document = json.loads(command(config)("status", "--json").output)["remote"]
        metrics = _metrics(settings)
        simulated.mode = Mode.RIGHT
        switch.remote.check()
        switch._recover()
        after = _metrics(settings)

    assert "films wait, and are read once it answers: 127.0.0.1" in alarm
    assert "did not answer within 0.2 s" in status
    assert (document["requests"], document["trouble"]["message"]) == ({"timed_out": 1}, switch_message(document))
    assert metrics == {"cxr_node_remote_requests_total timed_out": 1.0, "cxr_node_remote_used": 0.0}
    assert after["cxr_node_remote_used"] == 1.0
    assert after["cxr_node_remote_requests_total ok"] == 1.0


def switch_message(document: dict[str, Any]) -> str:
    """Return the message of a state that names the time-out."""
    message = str(document["trouble"]["message"])
    assert "did not answer within" in message
    return message


def _metrics(settings: Settings) -> dict[str, float]:
    """Return the metrics but the seconds, by name and label."""
    samples = [sample for family in remote_metrics.collect(settings) for sample in family.samples]
    named = {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}
    assert named.pop("cxr_node_remote_seconds_total") > 0
    return named


def test_counts_continue_after_a_restart_and_a_damaged_file_starts_at_zero(config: Path) -> None:
    settings = load(config)
    for _ in range(2):
        with Process.open(settings) as process:
            process.remote_state.note_request(RequestOutcome.OK, 0.5)
            process.remote_state.write()
    state = read_state(settings)
    assert state is not None
    assert (state.requests, state.seconds) == ({"ok": 2}, 1.0)
    state_file(settings).write_text('{"requests": 3}', encoding="utf-8")

    damaged = read_state(settings)

    assert damaged is not None
    assert damaged.requests == {}


def test_a_local_reader_has_no_remote_state(tmp_path: Path) -> None:
    path = settings_file(tmp_path / "node")

    assert read_state(load(path)) is None
    assert not list(remote_metrics.collect(load(path)))


def test_a_replay_at_the_server_is_bit_identical(config: Path) -> None:
    assert read_a_film(config).endswith(", by remote model chest version 3")

    again = command(config)("replay", str(READ))

    assert again.exit_code == 0, again.output
    assert "bit-identical" in again.output
    assert "gave the same scores twice" in " ".join(again.output.split())


def test_a_replay_says_that_the_model_at_the_server_has_changed(
    config: Path, simulated: SimulatedInferenceServer
) -> None:
    read_a_film(config)
    simulated.compute = lambda film: {name: value + 1 for name, value in remote.compute(film).items()}

    again = command(config)("replay", str(READ))

    assert again.exit_code == 1
    assert "changed under the same name and version" in " ".join(again.output.split())


def test_a_replay_says_that_the_server_is_not_deterministic(config: Path, simulated: SimulatedInferenceServer) -> None:
    read_a_film(config)
    random = np.random.default_rng(1)

    def unsteady(film: Tensor) -> dict[str, Tensor]:
        return {name: value + np.float32(random.normal()) for name, value in remote.compute(film).items()}

    simulated.compute = unsteady
    again = command(config)("replay", str(READ))
    document = json.loads(command(config)("replay", str(READ), "--json").output)

    assert again.exit_code == 1
    assert "it is not deterministic" in " ".join(again.output.split())
    assert (document["equal"], document["repeats"]) == (False, False)


def test_a_replay_without_the_server_says_so(config: Path, simulated: SimulatedInferenceServer) -> None:
    read_a_film(config)
    simulated.stop()

    again = command(config)("replay", str(READ))

    assert again.exit_code == 1
    assert "the film cannot be read again now" in " ".join(again.output.split())


def test_the_shadow_costs_no_film_an_attempt_while_the_server_is_away(
    config: Path, simulated: SimulatedInferenceServer
) -> None:
    with Process.open(load(config)) as process:
        reader = _switch(process).remote
    runs: list[bool] = []
    _run_if_usable(reader, lambda: runs.append(True))
    simulated.stop()

    with pytest.raises(RetryLater, match="is unreachable"):
        _run_if_usable(reader, lambda: runs.append(True))

    assert runs == [True]
