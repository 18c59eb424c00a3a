"""Preprocessing from settings: gate rules, limits, read context.

Without PyTorch, database and SQLAlchemy, for the pool's worker processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cxr_node.archive.store import Archive
from cxr_node.domain.image_kind import Action, ImageKind
from cxr_node.domain.result_names import PAINTED
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.reading.context import ReadContext, ReadRules
from cxr_node.settings.read import GateSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.archive import open_archive, open_reduced_films

if TYPE_CHECKING:
    from cxr_node.wiring.process import Process


def gate_rules(settings: Settings) -> Rules:
    """Return the rules of the gate."""
    section = settings.gate
    return Rules(
        minimum_age_years=section.minimum_age_years,
        body_parts=section.body_parts,
        accept_unknown_view=section.accept_unknown_view,
        view_from_model=section.view_from_model,
        no_chest_score=section.no_chest_score,
        accept_for_processing=section.accept_for_processing,
        kinds=_kind_actions(section),
    )


def _kind_actions(section: GateSection) -> dict[ImageKind, Action]:
    return {
        ImageKind.QUALITY_CONTROL: section.quality_control,
        ImageKind.CAPTURE: section.capture,
        ImageKind.TOMOSYNTHESIS: section.tomosynthesis,
        ImageKind.BONE_SUPPRESSED: section.bone_suppressed,
        ImageKind.DUAL_ENERGY: section.dual_energy,
        ImageKind.STITCHED: section.stitched,
        ImageKind.DECUBITUS: section.decubitus,
        ImageKind.LORDOTIC: section.lordotic,
        ImageKind.VIEW_CONFLICT: section.view_conflict,
        ImageKind.PROJECTION_CONFLICT: section.projection_conflict,
    }


def film_limits(settings: Settings) -> Limits:
    """Return the decoding limits of one film."""
    section = settings.gate
    return Limits(maximum_samples=section.maximum_pixels, decode_timeout_s=section.decode_timeout_s)


def read_rules(settings: Settings) -> ReadRules:
    """Return gate rules, decoding limits, and whether embeddings are kept."""
    return ReadRules(
        gate=gate_rules(settings), limits=film_limits(settings), keep_embeddings=settings.read.keep_embeddings
    )


def _has_pictures(settings: Settings) -> bool:
    return any(not PAINTED.isdisjoint(destination.results) for destination in settings.deliver.destinations)


@contextmanager
def read_context(process: "Process", *, is_for_results: bool = True) -> Iterator[ReadContext]:
    """Open a read context with its own sandbox. Films whose readings are `is_for_results` are left for pictures."""
    with _context(process.settings, process.archive, is_for_results=is_for_results) as context:
        yield context


@contextmanager
def _context(settings: Settings, archive: Archive, *, is_for_results: bool) -> Iterator[ReadContext]:
    reduced_films = open_reduced_films(settings) if is_for_results and _has_pictures(settings) else None
    with Sandbox(film_limits(settings)) as sandbox:
        yield ReadContext(archive=archive, rules=read_rules(settings), sandbox=sandbox, reduced_films=reduced_films)


@contextmanager
def open_read_context(settings: Settings, *, is_for_results: bool = True) -> Iterator[ReadContext]:
    """Open a read context in a process of its own, with all that its functions import, so that no film waits for it."""
    from cxr_node.reading import postprocess, preprocess, repeat  # noqa: F401

    with _context(settings, open_archive(settings), is_for_results=is_for_results) as context:
        yield context
