"""Compose context: what the header of a film and the results of a study are made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import Archive
from cxr_node.composing.film_bytes import FilmBytes
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.source import Observer

CharacterSets = Mapping[str, tuple[str, ...]]
"""Actual Specific Character Set of films by calling AE title; "" for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeContext:
    """Archive, kinds of results, observing device, limits, decoding sandbox, character sets of senders, last film.

    `reduced_films` are those that reading has left; without, every film of a picture is decoded.
    """

    archive: Archive
    kinds: Sequence[ResultKind]
    observer: Observer
    limits: Limits = field(default_factory=Limits)
    sandbox: Sandbox | None = None
    character_sets: CharacterSets = field(default_factory=dict)
    reduced_films: ReducedFilms | None = None
    film_bytes: FilmBytes = field(default_factory=FilmBytes)
