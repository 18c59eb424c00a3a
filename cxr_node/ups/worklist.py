"""Seam of worklists: a kind is a subclass of `WorklistKind` in a file of its own, and a line in WORKLISTS."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import Field

from cxr_node.deliver.destination import ApplicationEntity, Probe, WebServer
from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.procedure_step import Worklist
from cxr_node.domain.section import Section, text_form

CodeText = Annotated[
    str, text_form(r"|[!-\]_-~]{1,16}\^[!-\]_-~]{1,16}\^[ -\]_-~]{1,64}", 'a code as "value^scheme^meaning"')
]
"""A coded entry in ASCII, or the empty string."""

OnQuery = Callable[[bytes, int, str], None]
"""Called with the encoded Identifier of each query (Explicit VR Little Endian), the number of steps that were offered,
and why it failed, "" if it has not."""
OnChange = Callable[[Uid, str, str], None]
"""Called with the step, the state that was requested of it, and why it was not changed, "" if it was."""


def code_of(text: str) -> Code | None:
    """Return the code of a `CodeText`; None if it is empty."""
    if not text:
        return None
    value, scheme, meaning = text.split("^")
    return Code(value=value, scheme_designator=scheme, meaning=meaning)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistContext:
    """What the node adds to the settings of a worklist: its own AE title, and audit."""

    calling_ae_title: AeTitle
    on_query: OnQuery = lambda _identifier, _steps, _failure: None
    on_change: OnChange = lambda _step, _state, _failure: None


class WorklistKind(Section):
    """A table of `[[ups.worklists]]`. Its docstring heads the table in the example configuration."""

    scu_sop_classes: ClassVar[tuple[Uid, ...]] = ()
    """SOP Classes that the node uses as SCU, for the conformance statement."""

    kind: str = Field(description="Kind of worklist.")
    name: str = Field(min_length=1, max_length=64, description="Name of the worklist in this node.")
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
    @abstractmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""

    @property
    @abstractmethod
    def audit_target(self) -> ApplicationEntity | WebServer:
        """The manager in the audit trail."""

    @abstractmethod
    def open(self, context: WorklistContext) -> Worklist:
        """Return the worklist."""

    @abstractmethod
    def probe(self, context: WorklistContext) -> Probe:
        """Test whether the manager serves procedure steps, without claiming one."""
