"""Costs of a film's stages: attribution, stacks, and the comparison with an earlier record."""

import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.profiling import stages as profiling
from benchmarks.profiling.record import Document, StageCost, summarize, table, warnings
from benchmarks.profiling.stacks import Sampler
from benchmarks.profiling.stages import OTHER, CallCount, Cost, Costs, Counters, Recorder, Stage, recording, stages
from cxr_node.domain import identifiers
from cxr_node.domain.identifiers import digest_of
from tests.support.films import ROOT

RECORD = ROOT / "benchmarks" / "cost.json"


@dataclass(slots=True)
class Readings(Counters):
    """Counters whose processor time is the next of a list."""

    seconds: Iterator[float] = field(default_factory=lambda: iter(()))

    def read(self) -> Cost:
        return Cost(cpu_s=next(self.seconds))


def stage_cost(stage: str, loops: float) -> StageCost:
    return StageCost(
        phase="read",
        stage=stage,
        cpu_ms=10 * loops,
        wall_ms=20 * loops,
        calibrations=loops,
        new_pages_mb=1.0,
        moved_mb=2.0,
        peak_mb=3.0,
        calls=1_000,
    )


def document(*costs: StageCost) -> Document:
    return Document(
        machine="one",
        at="",
        load=0.5,
        film="RLE",
        film_mb=9.5,
        engine="eager",
        rounds=3,
        calibration_ms=10.0,
        stages=costs,
    )


def test_a_stage_does_not_cost_what_it_calls() -> None:
    recorder = Recorder(Readings(seconds=iter([0.0, 0.0, 1.0, 3.0, 7.0, 15.0, 31.0])))
    with recorder.during("read"), recorder.within("outlines"), recorder.within("findings"):
        pass
    costs = {key: cost.cpu_s for key, cost in recorder.costs.items()}

    assert costs == {("read", OTHER): 1.0 + 16.0, ("read", "outlines"): 2.0 + 8.0, ("read", "findings"): 4.0}


def test_a_function_is_recorded_in_its_phase_and_then_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("compose", "digest", ("cxr_node.domain.identifiers:digest_of",))
    monkeypatch.setattr(profiling, "stages", lambda: (stage,))
    recorder = Recorder(Counters())
    with recording(recorder):
        with recorder.during("read"):
            identifiers.digest_of(b"")
        assert ("compose", "digest") not in recorder.costs
        with recorder.during("compose"):
            identifiers.digest_of(b"")

    assert recorder.costs["compose", "digest"].wall_s > 0
    assert identifiers.digest_of is digest_of


def test_every_function_of_a_stage_exists() -> None:
    for stage in stages():
        for function in stage.functions:
            module, _, path = function.partition(":")
            owner: object = importlib.import_module(module)
            for name in path.split("."):
                owner = getattr(owner, name)
            assert callable(owner), function


def test_calls_are_counted_of_python_and_built_in_functions() -> None:
    with CallCount() as calls:
        before = calls.number
        len(sorted([2, 1]))
        after = calls.number

    assert after - before == 2


def test_a_summary_has_the_medians_in_the_order_of_the_way() -> None:
    def costs(seconds: float) -> Costs:
        return {("compose", "report"): Cost(cpu_s=seconds), ("read", "decode"): Cost(cpu_s=1), ("read", OTHER): Cost()}

    rounds, loops_s = [costs(1.0), costs(2.0), costs(9.0)], [1.0, 1.0, 3.0]
    counted: Costs = {("read", "decode"): Cost(calls=7)}
    summary = summarize(rounds, loops_s, counted, {("read", "decode"): Cost(peak_bytes=5e6)})

    assert [(cost.phase, cost.stage) for cost in summary] == [
        ("read", OTHER),
        ("read", "decode"),
        ("compose", "report"),
    ]
    assert (summary[1].calls, summary[1].peak_mb) == (7, 5.0)
    assert (summary[2].cpu_ms, summary[2].calibrations) == (2000.0, 2.0)
    assert list(table(summary))[-1][:3] == ("all", "**together**", "3000.0")


def test_only_stages_that_cost_clearly_more_are_named() -> None:
    before = document(stage_cost("outlines", 4.0), stage_cost("rows", 0.1), stage_cost("gone", 1.0))
    now = document(stage_cost("outlines", 6.0), stage_cost("rows", 0.2), stage_cost("new", 1.0))

    assert list(warnings(now, before)) == [
        "read, outlines: 6.00 calibration loops, 4.00 before",
        "read, new: not in the earlier record",
        "read, gone: only in the earlier record",
    ]
    assert not list(warnings(now, now))


def test_the_kept_record_is_one_of_the_present_stages() -> None:
    record = Document.from_json(json.loads(RECORD.read_text(encoding="utf-8")))
    known = {(stage.phase, stage.name) for stage in stages()}
    kinds = {("compose", kind) for kind in ("report", "text", "picture")}

    assert Document.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert {(cost.phase, cost.stage) for cost in record.stages if cost.stage != OTHER} <= known | kinds


def busy(until_s: float) -> None:
    while time.process_time() < until_s:
        pass


def test_processor_time_is_on_the_stack_that_used_it(tmp_path: Path) -> None:
    sampler = Sampler()
    with sampler.sampling():
        busy(time.process_time() + 0.05)
    lines = tmp_path / "stacks"
    lines.write_text("\n".join(sampler.lines()), encoding="utf-8")

    spent = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines.read_text().splitlines()}
    assert sum(number for stack, number in spent.items() if stack.endswith(f"{__name__}:busy")) > 25_000
