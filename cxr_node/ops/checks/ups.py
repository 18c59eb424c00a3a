"""Check of the worklists of the performer of Unified Procedure Steps: whether each serves them."""

from collections.abc import Iterator

from cxr_node.ops.checks.node import Check, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring.ups import worklist_context


def worklists(settings: Settings) -> Iterator[Check]:
    """Check each worklist without claiming a step."""
    for row in settings.ups.worklists:
        name, probe = f"worklist {row.name}", row.probe(worklist_context(settings))
        if probe.is_usable:
            yield ok(name, probe.message)
        else:
            yield problem(name, probe.message, probe.next_step)
