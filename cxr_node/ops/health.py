"""State of the node at a glance: red, amber or green, with a sentence for each problem that says what to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cxr_node.db.database import Database
from cxr_node.ops.alarms import active_alarms
from cxr_node.settings.root import Settings

_AMBER = ("certificate", "constancy", "drift", "paused", "periodic job", "prior ", "worklist manager")
"""Alarms that hold up no film and no result, or as a person wants it: the beginnings of their names."""


class Level(StrEnum):
    """How urgent a state is."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem: what it concerns, and the sentence that says what is so and what to do."""

    level: Level
    name: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Level of the worst problem, and all problems, the red ones first."""

    level: Level
    problems: tuple[Problem, ...]


def health(settings: Settings, database: Database, *, now: datetime) -> Health:
    """Return the state of the node: its active alarms."""
    problems = sorted(
        (
            Problem(level=Level.AMBER if name.startswith(_AMBER) else Level.RED, name=name, sentence=sentence)
            for name, sentence in active_alarms(settings, database, now=now, unreachable_s=0.0).items()
        ),
        key=lambda problem: (problem.level is not Level.RED, problem.name),
    )
    return Health(level=problems[0].level if problems else Level.GREEN, problems=tuple(problems))
