"""The leg that reads, wired from settings: the gate, the reader, its deadline."""

from typing import TYPE_CHECKING

from cxr_node import pipeline
from cxr_node.jobs.database import Database
from cxr_node.legs import Deadline, Quiet, ReadLeg
from cxr_node.node import places
from cxr_node.pixels import suitability
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.settings import Settings

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader


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


def reader(settings: Settings) -> "Reader":
    """Return what reads films, ready to."""
    # Only a process that reads imports torch.
    import torch

    from cxr_node.infer import bundle, catalogue
    from cxr_node.infer.reader import Precision, Reader

    section = settings.read
    if section.threads:
        torch.set_num_threads(section.threads)
    opened = Reader(
        bundle.load(catalogue.find(section.bundle, places.bundles_folder(settings))),
        device=section.device,
        batch_size=section.batch_size,
        precision=Precision(section.precision),
    )
    opened.warm_up()
    return opened


def read_rules(settings: Settings) -> pipeline.ReadRules:
    """Return what a film must be to be read, and how much of it may be decoded."""
    return pipeline.ReadRules(gate=gate_rules(settings), limits=film_limits(settings))


def read_leg(settings: Settings, opened: Database, sandbox: Sandbox, reads: "Reader") -> ReadLeg:
    """Return the leg that reads films with `reads`."""
    from cxr_node.infer.watchdog import at_most

    return ReadLeg(
        database=opened,
        archive=places.archive(settings),
        reader=reads,
        rules=read_rules(settings),
        quiet=quiet(settings),
        crash_limit=settings.read.crash_limit,
        sandbox=sandbox,
        # After its lease a film is another reader's, and this one had better be gone.
        deadline=Deadline(timeout_s=min(settings.read.timeout_s, settings.read.lease_s), watch=at_most),
    )


def quiet(settings: Settings) -> Quiet:
    """Return when a study is taken to be whole."""
    return Quiet(calm_s=settings.compose.calm_s, ceiling_s=settings.compose.ceiling_s)
