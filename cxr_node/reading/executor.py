"""Executor protocol: where preprocessing and postprocessing run, and the read context that they run with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cxr_node.archive.store import Archive
from cxr_node.pixels import suitability
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """Gate rules, decoding limits, and whether readings keep the embeddings of their models."""

    gate: suitability.Rules
    limits: Limits
    keep_embeddings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """Archive, rules and decoding sandbox. Without a `sandbox`, each compressed film starts its own."""

    archive: Archive
    rules: ReadRules
    sandbox: Sandbox | None = None


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
