"""Settings of the performer of Unified Procedure Steps."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, SerializeAsAny

from cxr_node.domain.section import OneOf, Seconds, Section
from cxr_node.settings.priors import AnySource
from cxr_node.ups import worklists
from cxr_node.ups.worklist import CodeText, WorklistKind

AnyWorklist = Annotated[SerializeAsAny[WorklistKind], OneOf(lambda: worklists.WORKLISTS)]


class UpsSection(Section):
    """Performer of Unified Procedure Steps: work that a worklist manager schedules is claimed, done and reported."""

    every_s: Seconds = Field(10.0, description="Interval at which worklists are asked, and steps updated, in seconds.")
    maximum_steps: int = Field(
        8, ge=1, le=500, description="Greatest number of steps that are claimed at a time, of each worklist."
    )
    input_wait_s: Seconds = Field(
        3600.0,
        description="Time after its claim in which the films of a step may come by C-STORE or STOW-RS, in seconds; "
        "after that the step is canceled.",
    )
    station: CodeText = Field(
        "",
        description='Performed Station Name Code, as "value^scheme^meaning"; empty: the AE title of [receive] as a '
        "code of the private scheme.",
    )
    retrieve_timeout_s: Seconds = Field(
        60.0, description="Time in which a film of a step must come from a source, in seconds."
    )
    worklists: tuple[AnyWorklist, ...] = Field(
        (), description="Worklist managers that are asked for steps; empty: none."
    )
    sources: tuple[AnySource, ...] = Field(
        (),
        description="Archives from which films of steps are retrieved that have not come, if the step names them by AE "
        "title or URL; empty: films are sent to this node.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for sources of no step."""
        yield from super().contradictions(key)
        if self.sources and not self.worklists:
            yield f"{key}.sources: needs {key}.worklists, whose steps name what is retrieved"
