"""Results of one run on one patient's films, each with its destinations."""

from collections.abc import Iterable, Sequence

from cxr_node.report.source import ReferredResult


class Run:
    """Results of a run in order of composing, as its report refers to them."""

    def __init__(self) -> None:
        self._results: list[tuple[ReferredResult, frozenset[str]]] = []

    def add(self, results: Iterable[ReferredResult], destinations: Sequence[str]) -> None:
        """Add results of one kind, which the named destinations are sent."""
        self._results.extend((result, frozenset(destinations)) for result in results)

    def sent_to(self, destinations: Sequence[str]) -> list[ReferredResult]:
        """Return the results that at least one of the destinations is sent."""
        return [result for result, names in self._results if not names.isdisjoint(destinations)]
