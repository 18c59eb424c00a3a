"""CPU inference engines, and the choice of the fastest whose outputs agree with the reference.

The reference is PyTorch, operator by operator. Another engine qualifies if, on a given film, its outputs agree within
`TOLERANCE`, are the same to the last bit when repeated, and it is faster by more than the error of measurement.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cxr_node.infer.bundle import Bundle, BundleError, Program

_log = logging.getLogger(__name__)

AUTO = "auto"
EAGER = "eager"
CHANNELS_LAST = "channels_last"
OPENVINO = "openvino"

TOLERANCE = 1e-3
"""Largest difference of a score (0 to 1) from the reference's; of other outputs, as a share of their largest value."""
GAIN = 1.1
"""Least speed of another engine, as a multiple of the reference's."""
_ROUNDS = 5
_PLANES = 4
"""Dimensions of a convolution's weights."""
_MIN_SCALE = 1e-2
"""Outputs smaller than this are compared as if they were this large."""

EngineFactory = Callable[[Bundle, int], Program]
Outputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Result of one engine: least milliseconds of a film, largest difference from the reference, the fault if any."""

    engine: str
    milliseconds: float
    difference: float
    fault: str = ""

    def __str__(self) -> str:
        return self.fault or f"{self.milliseconds:.1f} ms, off by {self.difference:.2g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EngineChoice:
    """The chosen engine, the network on it, and the trials that were run."""

    engine: str
    program: Program
    trials: tuple[Trial, ...] = ()


def eager(bundle: Bundle, _threads: int) -> Program:
    """Return the network run by PyTorch, operator by operator."""
    return bundle.program(torch.device("cpu"))


def channels_last(bundle: Bundle, _threads: int) -> Program:
    """Return the same in channels-last memory format, which is faster for convolution kernels."""
    network = bundle.network.mapped(
        lambda weight: weight.contiguous(memory_format=torch.channels_last) if weight.dim() == _PLANES else weight
    )

    def run(films: torch.Tensor) -> Outputs:
        return network(films.contiguous(memory_format=torch.channels_last))

    return run


def openvino(bundle: Bundle, threads: int) -> Program:
    """Return the network compiled by OpenVINO, in float32, for one film at a time; converted in memory.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    from cxr_node.infer import openvino_engine

    return openvino_engine.compiled(openvino_engine.convert(bundle), threads)


def openvino_in(folder: Path) -> EngineFactory:
    """Return the same by way of a file in `folder`, from which later starts open the network."""

    def make(bundle: Bundle, threads: int) -> Program:
        from cxr_node.infer import openvino_engine

        openvino_engine.write(openvino_engine.convert(bundle), folder)
        return openvino_engine.compiled(openvino_engine.read(folder), threads)

    return make


def openvino_from(folder: Path, threads: int) -> Program:
    """Return the network that `openvino_in` has written; raise BundleError if it is not as it was written."""
    from cxr_node.infer import openvino_engine

    return openvino_engine.compiled(openvino_engine.read(folder), threads)


ENGINES: Mapping[str, EngineFactory] = {EAGER: eager, CHANNELS_LAST: channels_last, OPENVINO: openvino}


def choose(
    bundle: Bundle,
    film: torch.Tensor,
    *,
    wanted: str,
    threads: int = 0,
    engines: Mapping[str, EngineFactory] = ENGINES,
    clock: Callable[[], float] = time.perf_counter,
) -> EngineChoice:
    """Return the named engine, or the fastest, with the network on it.

    Parameters
    ----------
    film
        A prepared film, shape (1, channels, rows, columns), on which engines are compared with the reference.
    wanted
        The name of an engine, or "auto".
    threads
        Threads of the network; 0 for torch's number.

    Raises
    ------
    BundleError
        If the named engine is not available or does not agree with the reference.
    """
    if wanted == EAGER:
        return EngineChoice(engine=EAGER, program=eager(bundle, threads))
    names = [name for name in engines if wanted in (AUTO, name) and name != EAGER]
    programs: dict[str, Program] = {EAGER: engines[EAGER](bundle, threads)}
    faults: dict[str, str] = {}
    for name in names:
        try:
            programs[name] = engines[name](bundle, threads)
        except Exception as error:  # noqa: BLE001  # an engine raises any type; the others remain
            faults[name] = "is not installed" if isinstance(error, ImportError) else f"cannot be made: {error}"
    trials = _run_trials(programs, film, clock)
    trials += [Trial(engine=name, milliseconds=0.0, difference=0.0, fault=fault) for name, fault in faults.items()]
    for trial in trials:
        _log.info("engine %s: %s", trial.engine, trial)
    engine = _fastest(trials) if wanted == AUTO else _required(trials, wanted)
    return EngineChoice(engine=engine, program=programs[engine], trials=tuple(trials))


def difference(expected: Outputs, actual: Outputs) -> float:
    """Return the largest difference of two sets of outputs, as for `TOLERANCE`; inf if names or shapes differ."""
    if expected.keys() != actual.keys():
        return float("inf")
    return max(_difference(name, expected[name], actual[name]) for name in expected)


def _difference(name: str, expected: torch.Tensor, actual: torch.Tensor) -> float:
    if expected.shape != actual.shape or not actual.isfinite().all():
        return float("inf")
    if name.endswith("_logits"):
        return float((expected.sigmoid() - actual.sigmoid()).abs().max())
    return float((expected - actual).abs().max() / expected.abs().max().clamp(min=_MIN_SCALE))


def _run_trials(programs: dict[str, Program], film: torch.Tensor, clock: Callable[[], float]) -> list[Trial]:
    """Run the engines in turn for several rounds; the first is a warm-up. The least time counts, as on a busy host."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    first_and_last: dict[str, list[Outputs]] = {name: [] for name in programs}
    faults: dict[str, str] = {}
    with torch.inference_mode():
        for _ in range(_ROUNDS + 1):
            for name, program in programs.items():
                if name in faults:
                    continue
                started = clock()
                try:
                    outputs = {key: tensor.clone() for key, tensor in program(film).items()}
                except Exception as error:  # noqa: BLE001  # as above
                    faults[name] = f"fails: {error}"
                    continue
                seconds[name].append(clock() - started)
                first_and_last[name] = [*first_and_last[name][:1], outputs]
    return [
        Trial(engine=name, milliseconds=0.0, difference=0.0, fault=faults[name])
        if name in faults
        else _compare(name, min(seconds[name][1:]) * 1000, first_and_last[name], first_and_last[EAGER][0])
        for name in programs
    ]


def _compare(name: str, milliseconds: float, outputs: list[Outputs], expected: Outputs) -> Trial:
    largest = difference(expected, outputs[0])
    first, last = outputs
    fault = ""
    if largest > TOLERANCE:
        fault = f"differs from the reference by {largest:.2g}"
    elif any(not torch.equal(first[key], last[key]) for key in first):
        fault = "gives different outputs when run twice"
    return Trial(engine=name, milliseconds=milliseconds, difference=largest, fault=fault)


def _fastest(trials: list[Trial]) -> str:
    """Return the fastest engine without a fault, if it is faster than the reference by `GAIN`."""
    reference = next(trial for trial in trials if trial.engine == EAGER)
    others = [trial for trial in trials if not trial.fault and trial.engine != EAGER]
    best = min(others, key=lambda trial: trial.milliseconds, default=reference)
    return best.engine if best.milliseconds * GAIN < reference.milliseconds else EAGER


def _required(trials: list[Trial], wanted: str) -> str:
    trial = next((one for one in trials if one.engine == wanted), None)
    if trial is None or trial.fault:
        fault = trial.fault if trial else "does not exist"
        raise BundleError(f"engine {wanted!r} {fault}; set read.engine to auto or eager")
    return wanted
