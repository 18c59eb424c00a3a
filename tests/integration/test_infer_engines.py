"""Engines on the CPU: which is taken, which is not, and that they say the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cxr_node.infer import bundle, engines
from cxr_node.infer.bundle import Bundle, BundleError, Program
from cxr_node.infer.engines import CHANNELS_LAST, EAGER, OPENVINO, TOLERANCE, Outputs
from cxr_node.infer.reader import Reader
from cxr_node.settings.root import Settings
from cxr_node.wiring import engine
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
    film = engine._phantom_batch(network)

    chosen = engines.choose(network, film, wanted=name, threads=1)

    assert chosen.engine == name
    (trial,) = (one for one in chosen.trials if one.engine == name)
    assert trial.difference <= TOLERANCE
    with torch.inference_mode():
        assert engines.difference(engines.eager(network, 1)(film), chosen.program(film)) == trial.difference


def test_openvino_agrees_with_the_reference_on_a_small_network(opened: Bundle) -> None:
    chosen = engines.choose(opened, FILM, wanted=OPENVINO, threads=1)

    assert chosen.engine == OPENVINO
    assert max(trial.difference for trial in chosen.trials) <= TOLERANCE


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


def test_a_choice_is_remembered_until_something_changes(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[str] = []

    def choose(actual: Bundle, film: torch.Tensor, *, wanted: str, threads: int = 0) -> engines.EngineChoice:
        requested.append(wanted)
        return engines.EngineChoice(engine=CHANNELS_LAST, program=engines.eager(actual, threads))

    monkeypatch.setattr(engines, "choose", choose)
    settings = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"threads": 1}})
    other = Settings.model_validate({"node": {"data_folder": tmp_path}, "read": {"threads": 2}})

    chosen = [engine.engine(trial_, opened).engine for trial_ in (settings, settings, other)]

    assert chosen == [CHANNELS_LAST] * 3
    assert requested == ["auto", "auto"]
