"""Settings of the performer of Unified Procedure Steps."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cxr_node.deliver.peer import ApplicationEntitySection
from cxr_node.domain.codes import Code
from cxr_node.domain.section import Seconds, Section, Title, text_form

CodeText = Annotated[
    str, text_form(r"|[!-\]_-~]{1,16}\^[!-\]_-~]{1,16}\^[ -\]_-~]{1,64}", 'a code as "value^scheme^meaning"')
]
"""A coded entry in ASCII, or the empty string."""


def code_of(text: str) -> Code | None:
    """Return the code of a `CodeText`; None if it is empty."""
    if not text:
        return None
    value, scheme, meaning = text.split("^")
    return Code(value=value, scheme_designator=scheme, meaning=meaning)


class WorklistSection(ApplicationEntitySection):
    """A worklist manager whose scheduled steps are claimed, by the SOP Class UPS Pull."""

    name: str = Field(min_length=1, max_length=64, description="Name of the worklist in this node.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="Calling AE title of this node; empty: ae_title of [receive]."
    )
    workitem: CodeText = Field(
        "", description='Scheduled Workitem Code of steps that are claimed, as "value^scheme^meaning"; empty: any.'
    )
    station: CodeText = Field(
        "", description='Scheduled Station Name Code of steps that are claimed, as "value^scheme^meaning"; empty: any.'
    )
    label: str = Field("", max_length=64, description="Worklist Label of steps that are claimed; empty: any.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for a worklist that is not narrowed to this node."""
        yield from super().contradictions(key)
        if not (self.workitem or self.station):
            yield f"{key}: set workitem or station, or the steps of every other performer are claimed too"

    @classmethod
    def example(cls) -> "WorklistSection":
        """Return the table of the example configuration."""
        return cls(
            name="ris",
            host="127.0.0.1",
            port=11112,
            ae_title="WORKLIST",
            workitem="110003^DCM^Computer Aided Diagnosis",
        )


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
    worklists: tuple[WorklistSection, ...] = Field(
        (), description="Worklist managers that are asked for steps; empty: none."
    )
