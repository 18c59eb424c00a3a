"""Read context: what preprocessing and postprocessing of a film run with."""

from dataclasses import dataclass

from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import ReadableArchive
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """Gate rules, decoding limits, and whether readings keep the embeddings of their models."""

    gate: Rules
    limits: Limits
    keep_embeddings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """Archive, rules and decoding sandbox. Without a `sandbox`, each compressed film starts its own.

    With `reduced_films`, films that pass the gate are left there for the pictures of their study.
    """

    archive: ReadableArchive
    rules: ReadRules
    sandbox: Sandbox | None = None
    reduced_films: ReducedFilms | None = None
