"""What films are looked at with, wired from settings; without torch, for processes that do nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from cxr_node.pixels import suitability
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.reading.preprocess import ReadContext, ReadRules
from cxr_node.settings.root import Settings
from cxr_node.wiring import process


def gate_rules(settings: Settings) -> suitability.Rules:
    """Return what a film must be to be read."""
    section = settings.gate
    return suitability.Rules(
        minimum_age_years=section.minimum_age_years,
        accept_unknown_view=section.accept_unknown_view,
        view_from_model=section.view_from_model,
        accept_for_processing=section.accept_for_processing,
    )


def film_limits(settings: Settings) -> Limits:
    """Return what one film may cost."""
    section = settings.gate
    return Limits(maximum_samples=section.maximum_pixels, decode_timeout_s=section.decode_timeout_s)


def read_rules(settings: Settings) -> ReadRules:
    """Return what a film must be to be read, and how much of it may be decoded."""
    return ReadRules(gate=gate_rules(settings), limits=film_limits(settings))


@contextmanager
def desk(settings: Settings) -> Iterator[ReadContext]:
    """Open what a process needs that looks at films."""
    with Sandbox(film_limits(settings)) as sandbox:
        yield ReadContext(archive=process.archive(settings), rules=read_rules(settings), sandbox=sandbox)
