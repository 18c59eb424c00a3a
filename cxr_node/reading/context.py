"""Read context: the archive, gate rules and sandbox that preprocessing and postprocessing run with."""

from dataclasses import dataclass

from cxr_node.archive.store import Archive
from cxr_node.pixels import suitability
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """Gate rules and decoding limits."""

    gate: suitability.Rules
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """Archive, rules and decoding sandbox. Without a `sandbox`, each compressed film starts its own."""

    archive: Archive
    rules: ReadRules
    sandbox: Sandbox | None = None
