"""Check of the sources of prior films: whether each answers queries and retrievals."""

from collections.abc import Iterator

from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring.priors import source_context


def sources(settings: Settings) -> Iterator[Check]:
    """Check each source without a query for a patient."""
    for row in settings.priors.sources:
        name, probe = f"prior films of {row.name}", row.probe(source_context(settings))
        if not probe.is_usable:
            yield problem(name, probe.message, probe.next_step)
        elif probe.next_step:
            yield note(name, probe.message, probe.next_step)
        else:
            yield ok(name, probe.message)
