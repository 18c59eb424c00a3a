"""Executor protocol: where preprocessing and postprocessing run, in this process or in the preprocessing pool."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from cxr_node.reading.context import ReadContext

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Applies a function to items, each with a read context."""

    def map(self, call: Callable[[ReadContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the result for each item, in order; raise what `call` raises."""


class InProcess:
    """Executor in the calling thread, one item after the other."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context

    def map(self, call: Callable[[ReadContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the result for each item, in order."""
        return [call(self._context, item) for item in items]
