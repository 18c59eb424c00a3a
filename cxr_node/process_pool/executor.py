"""Executor protocol: where functions of a context run."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")
_Context_co = TypeVar("_Context_co", covariant=True)


class Executor(Protocol[_Context_co]):
    """Applies a function to items, each with the executor's context."""

    def map(self, call: Callable[[_Context_co, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the result for each item, in order; raise what `call` raises.

        Raises
        ------
        ProcessDied
            If the process that ran `call` died, or was ended at a limit of memory or time.
        """


class InProcess(Generic[Context]):
    """Executor in the calling thread, one item after the other."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def map(self, call: Callable[[Context, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the result for each item, in order."""
        return [call(self._context, item) for item in items]
