"""What runs a network on the CPU: the engines there are, and the fastest of them that says the same as the reference.

The reference is PyTorch, operator by operator. Another engine is taken only if on a film, given beforehand, it says
what the reference says within `TOLERANCE`, says it again to the last bit, and is faster by more than measuring errs.
"""

import contextlib
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cxr_node.infer.bundle import Bundle, BundleError, Program

_log = logging.getLogger(__name__)

AUTO = "auto"
EAGER = "eager"
CHANNELS_LAST = "channels_last"
OPENVINO = "openvino"

TOLERANCE = 1e-3
"""How far a score between 0 and 1 may lie from the reference's; of other outputs, as a share of their largest value."""
GAIN = 1.1
"""How many times as fast as the reference another engine must be."""
_ROUNDS = 5
_PLANES = 4
"""Dimensions of a convolution's weights."""
_SMALLEST = 1e-2
"""Outputs smaller than this are compared as if they were as large."""

Makes = Callable[[Bundle, int], Program]
Outputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How an engine did: milliseconds a film, the largest difference from the reference, and why it will not do."""

    engine: str
    milliseconds: float
    difference: float
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EngineChoice:
    """The engine that was taken, the network on it, and what was measured; nothing where nothing was."""

    engine: str
    program: Program
    trials: tuple[Trial, ...] = ()


def eager(bundle: Bundle, _threads: int) -> Program:
    """Return the network as PyTorch runs it, one operator after the other."""
    return bundle.program(torch.device("cpu"))


def channels_last(bundle: Bundle, _threads: int) -> Program:
    """Return the same with the channels of a cell side by side, as the convolutions' kernels like them."""
    module: Any = bundle.exported.module()
    weights = {
        name: each.contiguous(memory_format=torch.channels_last) if each.dim() == _PLANES else each
        for name, each in module.state_dict().items()
    }
    # In place of those that the reference has, not into them.
    module.load_state_dict(weights, assign=True)

    def run(films: torch.Tensor) -> Outputs:
        given: Outputs = module(films.contiguous(memory_format=torch.channels_last))
        return given

    return run


def openvino(bundle: Bundle, threads: int) -> Program:
    """Return the network compiled by OpenVINO, in float32, for one film at a time; converted in memory.

    By its frontend and not by `convert_model`, which has telemetry.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    import openvino as ov
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    taken = bundle.card.input
    shape = (1, 1, taken.rows, taken.columns)
    reference = bundle.program(torch.device("cpu"))
    with torch.inference_mode():
        names = list(reference(torch.zeros(shape)))
    with _silent_root(), warnings.catch_warnings():
        # torch's copies of programs use what torch itself is about to give up.
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        frontend = FrontEndManager().load_by_framework("pytorch")
        # Held by a name: the model refers to it without holding it.
        decoder = TorchFXPythonDecoder.from_exported_program(bundle.exported)
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()

    def run(films: torch.Tensor) -> Outputs:
        given = [request.infer({0: film[None].numpy()}, share_outputs=False) for film in films]
        return {
            name: torch.cat([torch.from_numpy(each[number]) for each in given]) for number, name in enumerate(names)
        }

    return run


@contextlib.contextmanager
def _silent_root() -> Iterator[None]:
    """Drop what the root logger itself is told: of what it cannot decompose OpenVINO complains, and does without."""
    root = logging.getLogger()
    root.addFilter(_nothing)
    try:
        yield
    finally:
        root.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False


ENGINES: Mapping[str, Makes] = {EAGER: eager, CHANNELS_LAST: channels_last, OPENVINO: openvino}


def choose(
    bundle: Bundle,
    film: torch.Tensor,
    *,
    wanted: str,
    threads: int = 0,
    engines: Mapping[str, Makes] = ENGINES,
    clock: Callable[[], float] = time.perf_counter,
) -> EngineChoice:
    """Return the engine of that name, or the fastest, with the network on it.

    Parameters
    ----------
    film
        A prepared film, shape (1, 1, rows, columns), on which engines are held against the reference.
    wanted
        The name of an engine, or "auto".
    threads
        Of the network; 0 for as many as torch has.

    Raises
    ------
    BundleError
        If the engine that is named is not there or does not say the same.
    """
    if wanted == EAGER:
        return EngineChoice(engine=EAGER, program=eager(bundle, threads))
    names = [name for name in engines if wanted in (AUTO, name) and name != EAGER]
    programs: dict[str, Program] = {EAGER: engines[EAGER](bundle, threads)}
    faults: dict[str, str] = {}
    for name in names:
        try:
            programs[name] = engines[name](bundle, threads)
        except Exception as error:  # noqa: BLE001  # an engine raises what it will; there are others
            faults[name] = "is not installed" if isinstance(error, ImportError) else f"cannot be made: {error}"
    trials = _tried(programs, film, clock)
    trials += [Trial(engine=name, milliseconds=0.0, difference=0.0, fault=why) for name, why in faults.items()]
    for trial in trials:
        _log.info(
            "engine %s: %s", trial.engine, trial.fault or f"{trial.milliseconds:.1f} ms, off by {trial.difference:.2g}"
        )
    engine = _fastest(trials) if wanted == AUTO else _required(trials, wanted)
    return EngineChoice(engine=engine, program=programs[engine], trials=tuple(trials))


def difference(expected: Outputs, given: Outputs) -> float:
    """Return the largest difference between two sets of outputs, as `TOLERANCE` counts it; infinite if not alike."""
    if expected.keys() != given.keys():
        return float("inf")
    return max(_difference(name, expected[name], given[name]) for name in expected)


def _difference(name: str, expected: torch.Tensor, given: torch.Tensor) -> float:
    if expected.shape != given.shape or not given.isfinite().all():
        return float("inf")
    if name.endswith("_logits"):
        return float((expected.sigmoid() - given.sigmoid()).abs().max())
    return float((expected - given).abs().max() / expected.abs().max().clamp(min=_SMALLEST))


def _tried(programs: dict[str, Program], film: torch.Tensor, clock: Callable[[], float]) -> list[Trial]:
    """Run every engine in turn, again and again; the first round warms them up."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    said: dict[str, list[Outputs]] = {name: [] for name in programs}
    faults: dict[str, str] = {}
    with torch.inference_mode():
        for _ in range(_ROUNDS + 1):
            for name, program in programs.items():
                if name in faults:
                    continue
                began = clock()
                try:
                    outputs = {key: tensor.clone() for key, tensor in program(film).items()}
                except Exception as error:  # noqa: BLE001  # as above
                    faults[name] = f"fails: {error}"
                    continue
                seconds[name].append(clock() - began)
                said[name] = [*said[name][:1], outputs]
    return [
        Trial(engine=name, milliseconds=0.0, difference=0.0, fault=faults[name])
        if name in faults
        else _judged(name, statistics.median(seconds[name][1:]) * 1000, said[name], said[EAGER][0])
        for name in programs
    ]


def _judged(name: str, milliseconds: float, said: list[Outputs], expected: Outputs) -> Trial:
    off = difference(expected, said[0])
    first, last = said
    fault = ""
    if off > TOLERANCE:
        fault = f"differs from the reference by {off:.2g}"
    elif any(not torch.equal(first[key], last[key]) for key in first):
        fault = "does not say the same twice"
    return Trial(engine=name, milliseconds=milliseconds, difference=off, fault=fault)


def _fastest(trials: list[Trial]) -> str:
    """Return the fastest engine that will do, if it is faster than the reference by more than measuring errs."""
    reference = next(each for each in trials if each.engine == EAGER)
    others = [each for each in trials if not each.fault and each.engine != EAGER]
    best = min(others, key=lambda each: each.milliseconds, default=reference)
    return best.engine if best.milliseconds * GAIN < reference.milliseconds else EAGER


def _required(trials: list[Trial], wanted: str) -> str:
    trial = next((each for each in trials if each.engine == wanted), None)
    if trial is None or trial.fault:
        why = trial.fault if trial else "is none"
        raise BundleError(f"engine {wanted!r} {why}; set read.engine to auto or eager")
    return wanted
