"""Check of the worklists of the performer of Unified Procedure Steps: whether each accepts UPS Pull."""

from collections.abc import Iterator

from cxr_node.ops.checks.node import Check, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring.ups import manager


def worklists(settings: Settings) -> Iterator[Check]:
    """Check each worklist by negotiation, without a query."""
    for row in settings.ups.worklists:
        name, probe = f"worklist {row.name}", manager(settings, row).probe()
        if probe.is_usable:
            yield ok(name, probe.message)
        else:
            yield problem(name, probe.message, probe.next_step)
