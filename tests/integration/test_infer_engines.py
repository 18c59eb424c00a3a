"""Engines on the CPU: which is taken, which is not, and that they say the same."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest
import torch

from cxr_node.infer import bundle, engines
from cxr_node.infer.bundle import Bundle, BundleError, Program
from cxr_node.infer.engines import CHANNELS_LAST, EAGER, OPENVINO, TOLERANCE, Outputs
from cxr_node.infer.reader import Reader
from cxr_node.settings.root import Settings
from cxr_node.wiring import engine, engine_trial
from cxr_node.wiring.cascade import ReadNetwork
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import read_workers
from tests.support import tiny_bundles
from tests.support.built_in import built_in_bundle

FILM = torch.linspace(0, 1, tiny_bundles.SIDE**2).reshape(1, 1, tiny_bundles.SIDE, tiny_bundles.SIDE)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle.load(tiny_bundles.whole_bundle(tmp_path_factory.mktemp("tiny")))


class Clock:
    """Says that each call of the engine with a number took so many seconds: they are called in turn."""

    def __init__(self, *seconds: float) -> None:
        self._gone, self._left = 0.0, self._forever(seconds)

    def __call__(self) -> float:
        self._gone += next(self._left)
        return self._gone

    @staticmethod
    def _forever(seconds: tuple[float, ...]) -> Iterator[float]:
        while True:
            for duration in seconds:
                yield from (0.0, duration)


def like(**changes: float) -> engines.EngineFactory:
    """Return an engine that says what the reference says, plus so much for an output."""

    def make(bundle: Bundle, threads: int) -> Program:
        program = engines.eager(bundle, threads)

        def run(films: torch.Tensor) -> Outputs:
            outputs = program(films)
            return {name: tensor + changes.get(name, 0.0) for name, tensor in outputs.items()}

        return run

    return make


def never_the_same(bundle: Bundle, threads: int) -> Program:
    program, times = engines.eager(bundle, threads), iter(range(1000))

    def run(films: torch.Tensor) -> Outputs:
        return {name: tensor + 1e-6 * next(times) for name, tensor in program(films).items()}

    return run


def missing(_bundle: Bundle, _threads: int) -> Program:
    raise ImportError


@pytest.mark.parametrize("name", [CHANNELS_LAST, pytest.param(OPENVINO, marks=pytest.mark.long)])
def test_an_engine_agrees_with_the_reference_on_the_built_in_bundle(name: str) -> None:
    network = built_in_bundle()
    film = engine_trial.phantom_batch(network)

    chosen = engines.choose(network, film, wanted=name, threads=1)

    assert chosen.engine == name
    (trial,) = (one for one in chosen.trials if one.engine == name)
    assert trial.difference <= TOLERANCE
    with torch.inference_mode():
        assert engines.difference(engines.eager(network, 1)(film), chosen.program(film)) == trial.difference


def test_a_named_engine_is_measured_once_and_opened_from_its_file(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"engine": OPENVINO, "threads": 1}})

    first = engine.engine(settings, opened)
    monkeypatch.setattr(engine, "measure", lambda *_, **__: pytest.fail("measured again"))
    later = engine.engine(settings, opened)

    assert (first.engine, later.engine) == (OPENVINO, OPENVINO)
    with torch.inference_mode():
        assert engines.difference(engines.eager(opened, 1)(FILM), later.program(FILM)) <= TOLERANCE
        assert engines.difference(first.program(FILM), later.program(FILM)) == 0
    (weights,) = tmp_path.rglob("network.bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert engine.chosen(settings, opened) is None


def test_auto_reads_by_the_reference_until_another_engine_was_chosen(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(settings: Settings, bundle: Bundle, *, is_beside: bool) -> None:
        assert is_beside
        (tmp_path / engine.FOLDER).mkdir()
        engine.record(tmp_path / engine.FOLDER, engine._key(settings, bundle), CHANNELS_LAST)

    monkeypatch.setattr(engine, "measure", measure)
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"threads": 1}})
    reader = Reader(opened, device="cpu", engine=engine.engine(settings, opened))
    successors: SimpleQueue[Reader] = SimpleQueue()

    engine.measure_beside(settings, reader, successors.put)
    successor = successors.get(timeout=60)

    assert reader.identity == opened.identity
    assert successor.identity.preparation.endswith(f", by {CHANNELS_LAST}")
    assert engine.engine(settings, opened).engine == CHANNELS_LAST
    other = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"threads": 2}})
    assert engine.engine(other, opened).engine == EAGER


def test_the_next_batch_is_read_by_the_successor_of_a_reader(
    opened: Bundle, tmp_path: Path, migrated_file: Path
) -> None:
    shutil.copyfile(migrated_file, tmp_path / "node.db")
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}})
    first, successor = Reader(opened, device="cpu"), Reader(opened, device="cpu")
    callbacks: dict[Reader, Callable[[Reader], None]] = {}

    def measure_beside(_: Settings, reader: Reader, on_chosen: Callable[[Reader], None]) -> None:
        callbacks[reader] = on_chosen

    with Process.open(settings) as process:
        network = ReadNetwork(process, lambda *_: first, measure_beside=measure_beside)
        before = network.current()
        callbacks[first](successor)

        assert (before, network.current()) == (first, successor)


def test_pool_processes_start_while_the_network_is_opened(opened: Bundle, tmp_path: Path, migrated_file: Path) -> None:
    shutil.copyfile(migrated_file, tmp_path / "node.db")
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"processes": 1}})
    children: list[list[str]] = []

    def opens(_process: Process, _folder: Path | None) -> Reader:
        children.extend(child.cmdline() for child in psutil.Process().children())
        return Reader(opened, device="cpu")

    with Process.open(settings) as process, read_workers(process, opens) as workers:
        assert workers.count == 2
        assert any("cxr_node.process_pool" in arguments for arguments in children)


def test_only_the_newest_choices_are_kept(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"key {number}").mkdir()
        engine.record(tmp_path, f"key {number}", OPENVINO)

    assert list(engine.choices(tmp_path)) == [f"key {number}" for number in range(2, 10)]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(engine.choices(tmp_path))


@pytest.mark.parametrize(
    ("other", "seconds", "expected", "fault"),
    [
        (like(), 0.5, "other", ""),
        (like(), 0.95, EAGER, ""),  # not faster by more than measuring errs
        (like(finding_logits=0.1), 0.5, EAGER, "differs"),
        (like(distance=float("nan")), 0.5, EAGER, "differs"),
        (never_the_same, 0.5, EAGER, "twice"),
        (missing, 0.5, EAGER, "not installed"),
    ],
    ids=["faster", "hardly faster", "other scores", "no numbers", "never the same", "not installed"],
)
def test_the_fastest_engine_with_equal_outputs_is_chosen(
    opened: Bundle, other: engines.EngineFactory, seconds: float, expected: str, fault: str
) -> None:
    makers = {EAGER: engines.eager, "other": other}
    clock = Clock(1.0) if other is missing else Clock(1.0, seconds)

    chosen = engines.choose(opened, FILM, wanted="auto", engines=makers, clock=clock)

    assert chosen.engine == expected
    (trial,) = (one for one in chosen.trials if one.engine == "other")
    assert fault in trial.fault
    assert bool(trial.fault) == bool(fault)


@pytest.mark.parametrize("other", [like(finding_logits=0.1), missing])
def test_an_engine_that_is_named_and_will_not_do_is_an_error(opened: Bundle, other: engines.EngineFactory) -> None:
    with pytest.raises(BundleError, match=r"engine 'other' .* set read.engine"):
        engines.choose(opened, FILM, wanted="other", engines={EAGER: engines.eager, "other": other})


def test_the_identity_of_a_reader_names_its_engine(opened: Bundle) -> None:
    reference = Reader(opened, device="cpu", engine=engines.choose(opened, FILM, wanted=EAGER))
    other = Reader(opened, device="cpu", engine=engines.choose(opened, FILM, wanted=CHANNELS_LAST))

    assert reference.identity == opened.identity
    assert other.identity == replace(opened.identity, preparation=f"{opened.identity.preparation}, by {CHANNELS_LAST}")
