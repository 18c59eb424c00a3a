"""Check of the worklists of the performer of Unified Procedure Steps: whether each serves them."""

from collections.abc import Iterator

from cxr_node.ops.checks.node import Check, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring.step_sources import step_source_context
from cxr_node.wiring.ups import worklist_context


def worklists(settings: Settings) -> Iterator[Check]:
    """Check each worklist without claiming a step, and each source of films without retrieving one."""
    worklist, source = worklist_context(settings), step_source_context(settings)
    probes = [(f"worklist {row.name}", row.probe(worklist)) for row in settings.ups.worklists]
    probes += [(f"films of steps from {row.name}", row.probe(source)) for row in settings.ups.sources]
    for name, probe in probes:
        if probe.is_usable:
            yield ok(name, probe.message)
        else:
            yield problem(name, probe.message, probe.next_step)
