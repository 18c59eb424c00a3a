"""Settings of comparisons with prior films."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, SerializeAsAny

from cxr_node.domain.section import OneOf, Seconds, Section
from cxr_node.priors import sources
from cxr_node.priors.source import PriorSourceKind

AnySource = Annotated[SerializeAsAny[PriorSourceKind], OneOf(lambda: sources.SOURCES)]


class PriorsSection(Section):
    """Comparison with the prior film of the patient: of the same view, and read by the same model."""

    compare: bool = Field(
        False,
        description="Whether results state the cardiothoracic ratio of the prior film, "
        "and whether it has changed beyond the repeatability of phantoms, which most pairs of real films exceed.",
    )
    maximum_age_days: int = Field(1826, ge=1, description="Greatest age of a prior film, in days before the film.")
    search_s: Seconds = Field(
        3600.0,
        description="Time after its reading within which a prior film is searched for at other archives, in seconds. "
        "No report waits for it: one is composed anew if the prior film comes later.",
    )
    timeout_s: Seconds = Field(
        60.0, description="Time that a source has for the queries and films of one search, in seconds."
    )
    keep_days: float = Field(
        30.0, gt=0, description="Time after which a film that was fetched as a prior is removed, in days."
    )
    every_s: Seconds = Field(
        1.0, description="Interval at which searches that are due are begun, and fetched films read, in seconds."
    )
    sources: tuple[AnySource, ...] = Field(
        (),
        description="Archives that are asked, in this order, for films of which this node has no prior film; "
        "empty: none.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for sources that are not asked."""
        yield from super().contradictions(key)
        if self.sources and not self.compare:
            yield f"{key}.sources: needs {key}.compare = true, or nothing is compared with what they send"
