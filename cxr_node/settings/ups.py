"""Settings of the performer of Unified Procedure Steps."""

from typing import Annotated

from pydantic import Field, SerializeAsAny

from cxr_node.domain.section import OneOf, Seconds, Section
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
    worklists: tuple[AnyWorklist, ...] = Field(
        (), description="Worklist managers that are asked for steps; empty: none."
    )
