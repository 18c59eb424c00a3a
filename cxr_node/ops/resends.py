"""Resend of delivered results to a destination, such as after a PACS lost them; command line and page use the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node.db.database import Connection
from cxr_node.ops import operator_log, pauses
from cxr_node.ops.batches import Reads, write_in_batches
from cxr_node.ops.formatting import counted
from cxr_node.records import resends
from cxr_node.records.resends import Group, Selection, Standing
from cxr_node.wiring.process import Process

_NOT_SENT = {
    Standing.WAITING: "on the way already",
    Standing.SUPERSEDED: "superseded by a later result of the study",
    Standing.REMOVED: "removed from the archive",
    Standing.NOT_DELIVERED: "not delivered (`cxr-node requeue` sends these)",
}


class CannotResend(ValueError):
    """There is no such destination, or nothing is selected; the sentence says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendPlan:
    """What a resend to a destination would do: the results that are sent again of how many studies, and the others."""

    destination: str
    results: int
    studies: int
    others: tuple[Group, ...]

    @property
    def sentence(self) -> str:
        """What is sent again."""
        return f"{counted(self.results, 'result')} of {counted(self.studies, 'study')} to {self.destination}"

    @property
    def left(self) -> list[str]:
        """What is not sent, a phrase for each reason."""
        return [f"{group.results} {_NOT_SENT[group.standing]}" for group in self.others]


def plans(connection: Connection, selection: Selection) -> list[ResendPlan]:
    """Return what a resend of a selection would do, by destination; none for a selection without deliveries."""
    by_destination: dict[str, list[Group]] = {}
    for group in resends.groups(connection, selection):
        by_destination.setdefault(group.destination, []).append(group)
    return [_plan(name, groups) for name, groups in by_destination.items()]


def plan_to(process: Process, selection: Selection) -> ResendPlan:
    """Return what a resend to the destination of a selection would do.

    Raises
    ------
    CannotResend
        If there is no such destination.
    """
    with process.database.read() as connection:
        names = pauses.destination_names(process.settings, connection)
        if selection.destination not in names:
            known = f"; there are {', '.join(names)}" if names else ""
            raise CannotResend(f"there is no destination {selection.destination!r}{known}")
        return next(iter(plans(connection, selection)), _plan(selection.destination, ()))


def resend(process: Process, selection: Selection, *, what: str, by: str = "", reads: Reads | None = None) -> int:
    """Queue the delivered results of a selection again, and record it; return their number.

    Each transaction queues a few hundred, behind all other work. What is delivered after the call began is not sent
    once more. If it ends early, a second call queues the rest: what waits is not queued twice.

    Parameters
    ----------
    what
        The selection in words without patient data, for log and audit trail.
    by
        The actor, by default the user of the command line.
    reads
        Opens the connection that evaluates the selection, by default that of the process, without a time-out.
    """
    actor = by or operator_log.operator_name()
    with (reads or process.database.read)() as connection:
        delivery_ids = resends.to_send_again(connection, selection)
    return write_in_batches(
        process,
        delivery_ids,
        lambda transaction, batch: resends.send_again(transaction, batch, actor=actor, now=process.clock()),
        sentence=lambda number: (
            f"{counted(number, 'delivered result')} to be sent again to {selection.destination}: {what}"
        ),
        subject=f"destinations/{selection.destination}",
        by=actor,
    )


def _plan(destination: str, groups: Sequence[Group]) -> ResendPlan:
    again = [group for group in groups if group.standing is Standing.AGAIN]
    return ResendPlan(
        destination=destination,
        results=sum(group.results for group in again),
        studies=sum(group.studies for group in again),
        others=tuple(group for group in groups if group.standing is not Standing.AGAIN),
    )
