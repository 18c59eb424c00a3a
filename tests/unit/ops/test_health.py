"""State of the node at a glance: the level of its alarms."""

from pathlib import Path

import pytest

from cxr_node.db.database import Database
from cxr_node.ops import health
from cxr_node.ops.health import Level
from cxr_node.settings.root import Settings
from tests.support.queue import NOON


@pytest.mark.parametrize(
    ("alarms", "level", "first"),
    [
        ({}, Level.GREEN, ""),
        ({"certificate web": "expires"}, Level.AMBER, "certificate web"),
        ({"prior films": "no answer"}, Level.AMBER, "prior films"),
        ({"prior source archive": "no answer"}, Level.AMBER, "prior source archive"),
        ({"paused reading": "by a person", "destination pacs": "unreachable"}, Level.RED, "destination pacs"),
        ({"overdue readings": "a film waits", "failed deliveries": "3 results"}, Level.RED, "failed deliveries"),
    ],
    ids=["none", "a notice", "no film waits", "a source is away", "a notice and a fault", "two faults"],
)
def test_the_level_is_that_of_the_worst_alarm(
    alarms: dict[str, str], level: Level, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "active_alarms", lambda *_args, **_named: alarms)
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")

    state = health.health(Settings(), database, now=NOON)

    database.close()
    assert state.level is level
    assert [problem.name for problem in state.problems][:1] == ([first] if first else [])
    assert {problem.name: problem.sentence for problem in state.problems} == alarms
