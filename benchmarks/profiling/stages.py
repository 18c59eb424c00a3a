"""Stages of a film's way, each a few functions of the node, and what each of them costs by itself.

Functions are wrapped while `recording` lasts. A stage has no cost of the stages that it calls. One film is on its way
at a time, so that everything that this process does belongs to the stage that runs.
"""

import importlib
import resource
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

PAGE_BYTES = resource.getpagesize()
_IO = Path("/proc/self/io")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a `phase`, and its functions as "module:name" or "module:class.name".

    With `by_kind`, the third argument of the function is a result kind, whose name is part of the stage's.
    """

    phase: str
    name: str
    functions: tuple[str, ...]
    by_kind: bool = False


def stages() -> tuple[Stage, ...]:
    """Return the stages within the phases of a film, in order."""
    shared = (
        ("claim", ("queue.claiming:claim",)),
        ("rows: end of the job", ("work.worker:CompletionBuffer.record", "work.worker:CompletionBuffer.record_in")),
        ("bytes and digest", ("archive.integrity:read_intact",)),
        ("parse", ("pixels.parsing:parse", "pixels.parsing:parse_header")),
        ("decode", ("pixels.decoding:decode_first_frame",)),
        ("grayscale", ("pixels.film:apply_grayscale",)),
    )
    of_phase: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
        "receive": (
            ("archive", ("archive.folder:StagedFile.commit",)),
            ("rows", ("records.ingest:store",)),
        ),
        "read": (
            *shared,
            ("gate: header", ("pixels.suitability:judge_header",)),
            ("gate: picture", ("pixels.suitability:judge_picture",)),
            ("preparation", ("infer.prepare:prepare",)),
            ("measurement image", ("measure.grid:reduce_for_measurement",)),
            ("reduced film", ("report.pictures.reduced:reduce_film", "archive.reduced_films:ReducedFilms.put")),
            ("network", ("infer.reader:Reader.forward",)),
            ("outlines", ("infer.structures:structures",)),
            ("findings", ("infer.findings:findings",)),
            ("heat map", ("infer.heat:heat_map",)),
            ("measurements", ("measure.film:measure_film",)),
            ("rows", ("records.readings:write",)),
        ),
        "compose": (
            *shared,
            ("header", ("composing.film:report_film",)),
            ("", ("composing.study:_compose_kind",)),
            ("check", ("report.check:require_sound",)),
            ("encode", ("report.header.encoding:encoded",)),
            ("archive", ("archive.folder:FolderArchive.put",)),
        ),
        "deliver": (*shared[:3], ("send", ("deliver.cstore:CStoreDestination.send",))),
    }
    return tuple(
        Stage(phase, name, tuple(f"cxr_node.{function}" for function in functions), by_kind=not name)
        for phase, parts in of_phase.items()
        for name, functions in parts
    )


@dataclass(slots=True)
class Cost:
    """Cost of a stage for one film.

    `new_pages_bytes` is memory that the kernel had to provide (page faults), of this process. `moved_bytes` went
    through read and write. `peak_bytes` is the most that Python and NumPy held beyond the stage's start, and `calls`
    are those of Python and built-in functions; both are 0 unless counted.
    """

    cpu_s: float = 0.0
    wall_s: float = 0.0
    new_pages_bytes: float = 0.0
    moved_bytes: float = 0.0
    calls: float = 0.0
    peak_bytes: float = 0.0

    def add(self, other: "Cost") -> None:
        """Add the cost of another run, or of another function of the stage."""
        self.cpu_s += other.cpu_s
        self.wall_s += other.wall_s
        self.new_pages_bytes += other.new_pages_bytes
        self.moved_bytes += other.moved_bytes
        self.calls += other.calls
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)

    def less(self, other: "Cost") -> "Cost":
        """Return the difference of two readings of the counters."""
        return Cost(
            self.cpu_s - other.cpu_s,
            self.wall_s - other.wall_s,
            self.new_pages_bytes - other.new_pages_bytes,
            self.moved_bytes - other.moved_bytes,
            self.calls - other.calls,
        )


Costs = dict[tuple[str, str], Cost]
"""Cost by phase and stage; the rest of a phase has the stage "other"."""

OTHER = "other"


class CallCount:
    """Number of calls of Python and built-in functions, in all threads that start meanwhile."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> "CallCount":
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _on_event(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            self.number += 1


@dataclass(slots=True)
class Counters:
    """Counters of this process, and of the processor time of `children`, its decoding processes."""

    children: Sequence[int] = ()
    calls: CallCount | None = None

    def read(self) -> Cost:
        """Return the counters now."""
        seconds = time.process_time()
        for child in self.children:
            with suppress(OSError):  # it has ended
                seconds += time.clock_gettime(_clock_of(child))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Cost(
            cpu_s=seconds,
            wall_s=time.perf_counter(),
            new_pages_bytes=usage.ru_minflt * PAGE_BYTES,
            moved_bytes=_moved_bytes(),
            calls=0 if self.calls is None else self.calls.number,
        )


def _clock_of(process_id: int) -> int:
    """Return the number of a process's clock of processor time, as clock_getcpuclockid(3) does."""
    return (~process_id << 3) | 2


def _moved_bytes() -> int:
    lines = (line.split(":") for line in _IO.read_text(encoding="ascii").splitlines())
    return sum(int(number) for name, number in lines if name in ("rchar", "wchar"))


@dataclass(slots=True)
class _Open:
    key: tuple[str, str]
    base_bytes: int
    peak_bytes: int = 0


@dataclass(slots=True)
class Recorder:
    """Costs of the stages of one film. The innermost open stage gets everything that happens."""

    counters: Counters
    costs: Costs = field(default_factory=dict)
    phase: str = ""
    _open: list[_Open] = field(default_factory=list)
    _last: Cost = field(default_factory=Cost)

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """Attribute what happens in the block to a stage of the present phase."""
        self._attribute()
        traced = tracemalloc.get_traced_memory()[0]
        self._open.append(_Open((self.phase, stage), traced))
        try:
            yield
        finally:
            self._attribute()
            self._open.pop()

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Attribute what happens in the block, outside its stages, to the rest of a phase."""
        self.phase = phase
        self._last = self.counters.read()
        with self.within(OTHER):
            yield

    def is_within(self, stage: str) -> bool:
        """Whether the innermost open stage is this one."""
        return bool(self._open) and self._open[-1].key == (self.phase, stage)

    def _attribute(self) -> None:
        now = self.counters.read()
        if self._open:
            innermost = self._open[-1]
            cost = now.less(self._last)
            if tracemalloc.is_tracing():
                peak = tracemalloc.get_traced_memory()[1]
                for stage in self._open:
                    stage.peak_bytes = max(stage.peak_bytes, peak - stage.base_bytes)
                cost.peak_bytes = innermost.peak_bytes
                tracemalloc.reset_peak()
            self.costs.setdefault(innermost.key, Cost()).add(cost)
        self._last = now


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Wrap the functions of all stages while the block lasts."""
    undo: list[tuple[object, str, object]] = []
    by_function: dict[str, list[Stage]] = {}
    for stage in stages():
        for function in stage.functions:
            by_function.setdefault(function, []).append(stage)
    try:
        for function, of_function in by_function.items():
            undo += _replace(function, of_function, recorder)
        yield
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def _replace(function: str, of_function: list[Stage], recorder: Recorder) -> list[tuple[object, str, object]]:
    """Wrap a function in each module of the node that refers to it; return what was there."""
    module_name, _, path = function.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for class_name in classes:
        owner = getattr(owner, class_name)
    original = getattr(owner, name)
    wrapped = _wrapped(original, of_function, recorder)
    owners = [owner] if classes else _modules_with(original, name)
    for one in owners:
        setattr(one, name, wrapped)
    return [(one, name, original) for one in owners]


def _modules_with(function: object, name: str) -> list[object]:
    ours = [module for key, module in list(sys.modules.items()) if key.startswith("cxr_node")]
    return [module for module in ours if getattr(module, name, None) is function]


def _wrapped(original: Callable[..., Any], of_function: list[Stage], recorder: Recorder) -> Callable[..., Any]:
    by_phase = {stage.phase: stage for stage in of_function}

    @wraps(original)
    def call(*positional: Any, **named: Any) -> Any:
        stage = by_phase.get(recorder.phase)
        if stage is None or recorder.is_within(stage.name):  # each nested call would cost two readings of the counters
            return original(*positional, **named)
        if not stage.by_kind:
            with recorder.within(stage.name):
                return original(*positional, **named)
        with recorder.within(positional[2].name):
            return list(original(*positional, **named))

    return call
