"""Settings of what is said of a study, and where it goes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydicom.charset import python_encoding

from cxr_node.domain.radiograph import View
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.settings.section import Port, Seconds, Section, Title
from cxr_node.settings.tls import TlsClient


class ComposeSection(Section):
    """When a study's results are composed."""

    study_quiet_s: float = Field(2.0, ge=0, description="Compose when no film has come for this long, in seconds.")
    study_max_wait_s: Seconds = Field(
        300.0, description="Compose at the latest this long after the first film came, in seconds."
    )


def _language(text: str) -> str:
    if text not in LANGUAGES:
        raise ValueError(f"{text!r} is no language of results; there are {', '.join(LANGUAGES)}")
    return text


def _character_set(text: str) -> str:
    if text and text not in python_encoding:
        raise ValueError(f"{text!r} is no defined term of Specific Character Set, such as GB18030 or ISO 2022 IR 87")
    return text


class CharacterSetSection(Section):
    """A sender whose films declare no character set, or a wrong one."""

    ae_title: Title | Literal[""] = Field("", description="Its AE title; empty for every sender without one of these.")
    character_sets: tuple[Annotated[str, AfterValidator(_character_set)], ...] = Field(
        min_length=1, description="Specific Character Set (0008,0005) that its films are really in, whatever they say."
    )


class ReportSection(Section):
    """How results introduce themselves."""

    serial_number: str = Field("1", min_length=1, max_length=64, description="Device Serial Number of this node.")
    language: Annotated[str, AfterValidator(_language)] = Field(
        "en",
        description=f"Language of results: {', '.join(LANGUAGES)}. Codes do not change; the picture is English.",
    )
    series_number: int = Field(9001, ge=1, description="Series Number of the Structured Reports.")
    character_sets: tuple[CharacterSetSection, ...] = Field(
        (), description="Senders whose films are in another character set than they declare."
    )


REPORT_BEST = "report-best"
"""Not a kind: the first of `REPORT_FORMS` that the destination takes."""

_RESULT_NAMES = (RESULT_KINDS[0].name, REPORT_BEST, *(kind.name for kind in RESULT_KINDS[1:]))


def _result_name(text: str) -> str:
    if text not in _RESULT_NAMES:
        raise ValueError(f"{text!r} is no result; there are {', '.join(_RESULT_NAMES)}")
    return text


class WhenSection(Section):
    """What a film must be for its study's results to go to a destination. An empty list asks for nothing."""

    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have sent it.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010) of which one must be its.")
    views: tuple[View, ...] = Field((), description="Views of which one must be its.")
    findings: tuple[str, ...] = Field((), description="Keys of findings of which one must be present or undetermined.")


_WHEN = Field(WhenSection(), description="Which films' results go there; all, if nothing is asked for.")


_Results = tuple[Annotated[str, AfterValidator(_result_name)], ...]
_RESULTS = Field(
    (RESULT_KINDS[0].name,), min_length=1, description=f"Results it is sent, some of: {', '.join(_RESULT_NAMES)}."
)


class CStoreSection(TlsClient):
    """A PACS that takes results by C-STORE."""

    kind: Literal["cstore"] = Field("cstore", description="How results travel.")
    name: str = Field(min_length=1, max_length=64, description="What the destination is called here.")
    host: str = Field(description="Its address.")
    port: Port = Field(description="Its TCP port.")
    ae_title: Title = Field(description="Its AE title.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="How we call ourselves to it; empty: as in [receive]."
    )
    timeout_s: Seconds = Field(30.0, description="How long it may take to answer, in seconds.")
    warning_is_success: bool = Field(False, description="Whether a warning status counts as delivered.")
    confirm: Literal["none", "commitment", "find"] = Field(
        "none", description="How it is asked whether it has what it took: storage commitment, C-FIND, or not at all."
    )
    confirm_wait_s: float = Field(
        5.0, ge=0, description="How long the answer is waited for on the same association, in seconds."
    )
    confirm_again_s: Seconds = Field(60.0, description="When it is asked again if it does not answer, in seconds.")
    results: _Results = _RESULTS
    when: WhenSection = _WHEN


class FolderSection(Section):
    """A folder that results are written to."""

    kind: Literal["folder"] = Field("folder", description="How results travel.")
    name: str = Field(min_length=1, max_length=64, description="What the destination is called here.")
    folder: Path = Field(description="Where the files go.")
    results: _Results = _RESULTS
    when: WhenSection = _WHEN


DestinationSection = Annotated[CStoreSection | FolderSection, Field(discriminator="kind")]


class DeliverSection(Section):
    """Where results go."""

    lease_s: Seconds = Field(
        300.0, description="How long a sender may hold a result before another takes it, in seconds."
    )
    give_up_hours: float = Field(
        72.0, gt=0, description="How long a destination that is away is tried before a person must look, in hours."
    )
    destinations: tuple[DestinationSection, ...] = Field((), description="Where results go, and which go there.")
