"""Pause and resume of reading and of destinations by an operator, from command line and page."""

from collections.abc import Collection
from dataclasses import dataclass

from cxr_node.db.database import Connection
from cxr_node.db.states import Stage
from cxr_node.ops import operator_log
from cxr_node.queries import overview
from cxr_node.records import pauses
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

READING = "reading"
_NOTE_CHARACTERS = 200


class CannotPause(ValueError):
    """There is nothing of this name to pause or resume, or it is so already; the sentence says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What can be paused: reading, or a destination by its name."""

    stage: Stage
    destination: str = ""

    @property
    def words(self) -> str:
        """The target as a subject of sentences."""
        return f"destination {self.destination}" if self.destination else READING


def target(name: str) -> Target:
    """Return the target of a name: `reading`, or `destination/NAME`."""
    kind, _, destination = name.partition("/")
    if kind == READING and not destination:
        return Target(stage=Stage.READ)
    if kind == "destination" and destination:
        return Target(stage=Stage.DELIVER, destination=destination)
    raise CannotPause(f"{name!r} is neither `{READING}` nor `destination/NAME`")


def destination_names(settings: Settings, connection: Connection) -> list[str]:
    """Return the names of destinations: those of the settings, and those with deliveries."""
    configured = [row.name for row in settings.deliver.destinations]
    return list(dict.fromkeys([*configured, *overview.destination_names(connection)]))


def pause(process: Process, what: Target, *, note: str = "", by: str = "") -> None:
    """Pause a target; films are still received, and jobs that run go on to their end.

    `by` is the actor, by default the user of the command line.

    Raises
    ------
    CannotPause
        If there is no such destination, or the target is paused already.
    """
    actor = by or operator_log.operator_name()
    with process.database.write() as transaction:
        _require(what, destination_names(process.settings, transaction.connection))
        note = " ".join(note.split())[:_NOTE_CHARACTERS]
        if not pauses.add(transaction, what.stage, what.destination, by=actor, note=note, now=process.clock()):
            raise CannotPause(f"{what.words} is paused already")
    operator_log.record(process, f"{what.words} paused{f': {note}' if note else ''}", subject=_subject(what), by=actor)


def resume(process: Process, what: Target, *, by: str = "") -> int:
    """Resume a target; return the number of its waiting jobs, which are due now.

    Raises
    ------
    CannotPause
        If the target is not paused.
    """
    actor = by or operator_log.operator_name()
    with process.database.write() as transaction:
        waiting = pauses.end(transaction, what.stage, what.destination, now=process.clock())
        if waiting is None:
            raise CannotPause(f"{what.words} is not paused")
    operator_log.record(process, f"{what.words} resumed, {waiting} jobs due", subject=_subject(what), by=actor)
    return waiting


def _require(what: Target, names: Collection[str]) -> None:
    if what.destination and what.destination not in names:
        known = f"; there are {', '.join(names)}" if names else ""
        raise CannotPause(f"there is no destination {what.destination!r}{known}")


def _subject(what: Target) -> str:
    return f"destinations/{what.destination}" if what.destination else READING
