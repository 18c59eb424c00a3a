"""CPU inference engines, and the choice of the fastest whose outputs agree with the reference.

The reference is PyTorch, operator by operator. Another engine qualifies if, on a given film, its outputs agree within
`TOLERANCE`, are the same to the last bit when repeated, and it is faster by more than the error of measurement.
"""

import contextlib
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

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
    """Result of one engine: milliseconds a film, largest difference from the reference, and the fault, if any."""

    engine: str
    milliseconds: float
    difference: float
    fault: str = ""


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

    Uses the frontend and not `convert_model`, which has telemetry.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    import openvino as ov
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    shape = (1, *bundle.card.input.shape)
    reference = bundle.program(torch.device("cpu"))
    with torch.inference_mode():
        names = list(reference(torch.zeros(shape)))
    with _root_logger_silenced(), warnings.catch_warnings():
        # torch's copies of programs use what torch itself has deprecated.
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        frontend = FrontEndManager().load_by_framework("pytorch")
        # Bound to a name: the model refers to the decoder without owning it.
        decoder = TorchFXPythonDecoder.from_exported_program(bundle.exported())
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        compiled = ov.Core().compile_model(model, "CPU", options)
    except RuntimeError:
        # Its generator of fused code runs out of registers where vectors have 16 of them (AVX2).
        compiled = ov.Core().compile_model(model, "CPU", {**options, "SNIPPETS_MODE": "DISABLE"})
    request = compiled.create_infer_request()

    def run(films: torch.Tensor) -> Outputs:
        results = [request.infer({0: film[None].numpy()}, share_outputs=False) for film in films]
        return {
            name: torch.cat([torch.from_numpy(result[number]) for result in results])
            for number, name in enumerate(names)
        }

    return run


@contextlib.contextmanager
def _root_logger_silenced() -> Iterator[None]:
    """Drop records of the root logger itself: OpenVINO warns of operators that it cannot decompose, harmlessly."""
    root = logging.getLogger()
    root.addFilter(_reject_all)
    try:
        yield
    finally:
        root.removeFilter(_reject_all)


def _reject_all(_record: logging.LogRecord) -> bool:
    return False


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
        _log.info(
            "engine %s: %s", trial.engine, trial.fault or f"{trial.milliseconds:.1f} ms, off by {trial.difference:.2g}"
        )
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
    """Run the engines in turn for several rounds; the first is a warm-up."""
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
        else _compare(name, statistics.median(seconds[name][1:]) * 1000, first_and_last[name], first_and_last[EAGER][0])
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
