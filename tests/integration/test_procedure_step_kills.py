"""Performers that are killed: every step is completed once, and none is left IN PROGRESS."""

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cxr_node.db.database import Database
from cxr_node.records import procedure_steps
from cxr_node.simulators.worklist_steps import COMPLETED, IN_PROGRESS, SCHEDULED, step_uid
from tests.support.killed_performer import Killed, NthPoint, PerformingNode, deliver, reference
from tests.support.worklists import MANAGERS, Manager, worklist_of


@pytest.fixture(params=MANAGERS)
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with MANAGERS[request.param]() as running:
        yield running


def _node(migrated_file: Path, path: Path, manager: Manager, title: str = "CXRNODE") -> PerformingNode:
    shutil.copyfile(migrated_file, path)
    return PerformingNode(url=f"sqlite:///{path}", worklist=worklist_of(manager, title))


def _deliver_claimed(node: PerformingNode, delivered: set[str]) -> None:
    """Receive, read and report the films of the steps that the node has claimed."""
    with closing(Database(node.url)) as database, database.write() as transaction:
        for step in procedure_steps.open_steps(transaction.connection, "ris"):
            key = f"{node.url} {step.sop_instance_uid}"
            if key not in delivered:
                delivered.add(key)
                deliver(transaction, reference(int(step.sop_instance_uid.rpartition(".")[2])))


def test_a_kill_at_any_point_ends_in_one_completed_step(manager: Manager, migrated_file: Path, tmp_path: Path) -> None:
    """At each request, before it and before its response is used, and at each commit, before it and after it."""
    number, has_ended = 0, False
    while not has_ended:
        uid = step_uid(number)
        manager.steps.clear()
        manager.add(uid, [reference(number)])
        node = _node(migrated_file, tmp_path / f"{number}.db", manager)
        with closing(Database(node.url)) as database, database.write() as transaction:
            deliver(transaction, reference(number))

        has_ended = node.run(NthPoint(number))
        node.run()

        assert manager.steps[uid].states == [SCHEDULED, IN_PROGRESS, COMPLETED], number
        with closing(Database(node.url)) as database, database.read() as connection:
            assert procedure_steps.open_worklists(connection) == {}, number
        number += 1
    assert number > 20


@pytest.mark.parametrize("steps", [16, pytest.param(200, marks=pytest.mark.long)])
def test_two_nodes_of_which_one_is_killed_complete_each_step_once(
    steps: int, manager: Manager, migrated_file: Path, tmp_path: Path
) -> None:
    chance = random.Random(20)  # noqa: S311  # no secret
    kills = 0

    def point() -> None:
        nonlocal kills
        if chance.random() < 0.05:
            kills += 1
            raise Killed

    for number in range(steps):
        manager.add(step_uid(number), [reference(number)])
    killed = _node(migrated_file, tmp_path / "a.db", manager, "NODEA")
    other = _node(migrated_file, tmp_path / "b.db", manager, "NODEB")
    delivered: set[str] = set()
    rounds = 0
    while set(manager.states().values()) != {COMPLETED} and rounds < 2 * steps:
        killed.run(point)
        _deliver_claimed(killed, delivered)
        if rounds % 2:
            other.run()
            _deliver_claimed(other, delivered)
        rounds += 1
    killed.run()
    other.run()

    assert {tuple(step.states) for step in manager.steps.values()} == {(SCHEDULED, IN_PROGRESS, COMPLETED)}
    assert all(step.outputs for step in manager.steps.values())
    assert kills > steps // 10
    completed = []
    for node in (killed, other):
        with closing(Database(node.url)) as database, database.read() as connection:
            assert procedure_steps.open_worklists(connection) == {}
            counts = procedure_steps.count_by_state(connection, since=node.now)
            completed.append(counts.get(("ris", "completed"), 0))
    assert sum(completed) == steps
    assert min(completed) > 0
