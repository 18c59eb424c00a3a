"""Monitoring of a cascade: drift statistics and constancy of each finding are those of its own model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import CascadeStep, ModelIdentity, Prediction, StepState
from cxr_node.domain.reasons import Reason
from cxr_node.monitoring.constancy import CheckState, Tolerances
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import constancy as rows
from cxr_node.work.periodic import constancy, drift
from cxr_node.work.periodic.constancy import Outcome, Phantom
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.queue import SENDER
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql

Answer = Callable[[Sequence[Radiograph]], tuple[Prediction, ...]]


def by_two(*, second: float | None = 0.3, version: str = "2") -> Answer:
    """Return answers of a cascade: an opacity of the first model, an effusion of a second one, which fails on None."""

    def answer(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        return tuple(_by_two(result, second, version) for result in prediction(radiographs))

    return answer


def _by_two(result: Prediction, score: float | None, version: str) -> Prediction:
    other: ModelIdentity = replace(result.model, name="second", version=version)
    step = CascadeStep(name="second", model=other, state=StepState.ANSWERED)
    if score is None:
        step = replace(step, state=StepState.FAILED, reason=Reason.MODEL_ERROR, detail="not finite")
    effusion = replace(result.findings[0], key="effusion", score=score or 0.0, model=other)
    return replace(
        result,
        findings=(*result.findings, *([] if score is None else [effusion])),
        steps=(CascadeStep(name="first", model=result.model, state=StepState.ANSWERED), step),
    )


def test_daily_statistics_count_each_finding_for_its_model(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(by_two()))
    node.accept(films.dx())
    node.work()
    node.reader.answer = by_two(second=None)
    node.accept(films.dx(seed=1))
    node.work()

    drift.update_daily_statistics(database, now=node.clock.now)

    with database.read() as connection:
        statistics = view_rows.rows(connection, VIEWS["v1_daily_statistics"])
    counted = {(row["model_name"], row["kind"], row["key"]): (row["films"], row["hits"]) for row in statistics}
    assert counted[("test", "score", "lung_opacity")][0] == 2
    assert counted[("second", "score", "effusion")][0] == 1
    assert counted[("test", "rejected", "")] == (2, 0)
    assert counted[("second", "rejected", "")] == (2, 1)
    assert ("test", "score", "effusion") not in counted


def phantom(seed: int) -> Phantom:
    out = BytesIO()
    films.dx(seed=seed).save_as(out, enforce_file_format=True)
    return Phantom(seed=seed, content=out.getvalue(), ratio=None)


def check(node: InProcessNode) -> Outcome:
    def wait(_: float) -> None:
        node.turn(Stage.READ)
        node.clock.advance(seconds=5)

    return constancy.check(
        node.database, node.archive, [phantom(1), phantom(2)],
        send=lambda content: node.accept(dcmread(BytesIO(content)), sender=SENDER), wait=wait,
        tolerances=Tolerances(), device="cpu", timeout_s=60.0, clock=node.clock,
    )  # fmt: skip


def test_the_baseline_of_a_constancy_check_is_of_each_model(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, reader=StubNetwork(by_two()))
    first = check(node)
    with database.write() as transaction:
        assert rows.accept(transaction, first.run_id, by="kim", now=node.clock.now) == 4
    second = check(node)
    node.reader.answer = by_two(second=0.4)
    shifted = check(node)
    node.reader.answer = by_two(second=0.4, version="3")
    changed = check(node)

    assert (first.state, second.state) == (CheckState.UNACCEPTED, CheckState.PASSED)
    assert shifted.detail == "out of tolerance: effusion of phantom 1, effusion of phantom 2"
    assert changed.state is CheckState.UNACCEPTED
    with database.read() as connection:
        values = view_rows.rows(connection, VIEWS["v1_constancy"])
    named = {(row["key"], row["model_name"], row["model_version"]) for row in values}
    assert named == {("lung_opacity", "test", "1"), ("effusion", "second", "2"), ("effusion", "second", "3")}
