"""Settings of results: composition, report and delivery."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SerializeAsAny

from cxr_node.deliver import destinations
from cxr_node.deliver.destination import DestinationKind
from cxr_node.domain.result_languages import LANGUAGE_NAMES
from cxr_node.domain.result_names import RESULT_NAMES
from cxr_node.domain.section import OneOf, Seconds, Section, Title


class ComposeSection(Section):
    """Study window: when the results of a study are composed."""

    study_quiet_s: float = Field(
        2.0, ge=0, description="Compose after this time without another film of the study, in seconds."
    )
    study_max_wait_s: Seconds = Field(
        300.0, description="Compose at the latest this long after the first film of the study, in seconds."
    )
    own_process: bool = Field(
        True,
        description="Compose in a process of its own, with limits of memory (gate.memory_bytes) and time, so that no "
        "film can end the process that delivers; false: in that process.",
    )
    timeout_s: Seconds = Field(
        240.0,
        description="Time after which a process that composes a study is ended, in seconds, or deliver.lease_s; "
        "after two such ends the study is composed without pictures.",
    )


class CorrectionsSection(Section):
    """Films that come again with another patient, study or order and the same pixels, and films that are rejected."""

    results_follow: Literal["node", "archive"] = Field(
        "node",
        description='Who corrects the results: "node" issues them anew and withdraws the old ones at each destination, '
        'by a rejection note; "archive" leaves them to an archive that corrects its results with its films.',
    )
    notes_from: tuple[Title, ...] = Field(
        (),
        description="Calling AE titles whose rejection notes are accepted, on every film; empty: of destinations, "
        "and of each sender on films that it sent itself, but none of 113039 (retention expired), which removes films.",
    )


def _language(text: str) -> str:
    if text not in LANGUAGE_NAMES:
        raise ValueError(f"{text!r} is no language of results; there are {', '.join(LANGUAGE_NAMES)}")
    return text


def _character_set(text: str) -> str:
    # pydicom takes a quarter of a second to import, and few nodes have such a setting.
    from pydicom.charset import python_encoding

    if text and text not in python_encoding:
        raise ValueError(f"{text!r} is no defined term of Specific Character Set, such as GB18030 or ISO 2022 IR 87")
    return text


class CharacterSetSection(Section):
    """Character set of a sender whose films declare none or a wrong one."""

    ae_title: Title | Literal[""] = Field(
        "", description="Calling AE title; empty for every sender without such a table."
    )
    character_sets: tuple[Annotated[str, AfterValidator(_character_set)], ...] = Field(
        min_length=1, description="Specific Character Set (0008,0005) that replaces the declared one."
    )


class ReportSection(Section):
    """Device, language and series of results."""

    serial_number: str = Field("1", min_length=1, max_length=64, description="Device Serial Number of this node.")
    language: Annotated[str, AfterValidator(_language)] = Field(
        "en",
        description=f"Language of results: {', '.join(LANGUAGE_NAMES)}. Codes do not change; the picture is English.",
    )
    series_number: int = Field(9001, ge=1, description="Series Number of the Structured Reports.")
    character_sets: tuple[CharacterSetSection, ...] = Field(
        (), description="Senders whose films declare no character set or a wrong one."
    )


REPORT_BEST = "report-best"
"""Not a kind: the first of `REPORT_FORMS` that the destination accepts."""

AnyDestination = Annotated[SerializeAsAny[DestinationKind], OneOf(lambda: destinations.DESTINATIONS)]


def result_names() -> tuple[str, ...]:
    """Return the names of all results."""
    return (RESULT_NAMES[0], REPORT_BEST, *RESULT_NAMES[1:])


class DeliverSection(Section):
    """Delivery of results to destinations."""

    lease_s: Seconds = Field(
        300.0, description="Lease of a delivery: time after which another sender may claim it, in seconds."
    )
    give_up_hours: float = Field(
        72.0,
        gt=0,
        description="Time that a delivery to an unreachable destination is retried before it fails, in hours.",
    )
    destinations: tuple[AnyDestination, ...] = Field(
        (), description="Destinations; empty: results stay in the archive."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield the names of results that do not exist, or are there twice."""
        for row in self.destinations:
            for name, count in Counter(row.results).items():
                if name not in result_names():
                    names = ", ".join(result_names())
                    yield f"{key}.destinations.{row.name}.results: {name!r} is no result; there are {names}"
                elif count > 1:
                    yield f"{key}.destinations.{row.name}.results: {name!r} is there twice; name it once"
