"""Settings of the watch over the model: drift and constancy."""

from datetime import date, time
from typing import Annotated

from pydantic import AfterValidator, Field

from cxr_node.domain.section import Seconds, Section, Title
from cxr_node.net.tls_settings import TlsClient


def _day(text: str) -> str:
    if text:
        date.fromisoformat(text)
    return text


Day = Annotated[str, AfterValidator(_day)]


class DriftSection(Section):
    """Whether films are read as they were in the reference, by device, each day. docs/monitoring.md has the tests."""

    enabled: bool = Field(True, description="Whether days are counted and judged.")
    reference_films: int = Field(
        1000, ge=50, description="Films of a device that are its reference: its first whole days with a bundle version."
    )
    reference_days: int = Field(7, ge=1, le=365, description="The least days of a reference.")
    reference_from: Day = Field(
        "", description="First day of a declared reference, as 2026-01-31; empty for the first films instead."
    )
    reference_until: Day = Field("", description="Its last day. A bundle version that was not there then has its own.")
    window_days: int = Field(7, ge=1, le=28, description="Newest days that are held against the reference.")
    minimum_films: int = Field(
        50, ge=20, description="Least films on either side; quiet devices are looked at over up to 28 days."
    )
    alpha: float = Field(
        0.01, gt=0, le=0.2, description="Chance that a day on which nothing has changed raises an alarm."
    )
    least_score_effect: float = Field(
        0.1, ge=0, le=1, description="Least distance of the scores' distributions that is drift."
    )
    least_rate_effect: float = Field(
        0.05, ge=0, le=1, description="Least difference of rates, called present or not analysed, that is drift."
    )
    least_turnaround_effect: float = Field(
        0.3, ge=0, le=1, description="Least distance of the distributions of times from film to report that is drift."
    )


def _time_of_day(text: str) -> str:
    if text:
        time.fromisoformat(text)
    return text


class ConstancySection(TlsClient):
    """Phantoms that the node sends itself, to see that it reads them as before. Nothing of them leaves."""

    at: Annotated[str, AfterValidator(_time_of_day)] = Field(
        "", description="When each day, local time, as 05:30; empty for never, but by `cxr-node constancy run`."
    )
    calling_ae_title: Title = Field(
        "CXRCONSTANCY", description="How the node calls itself then; it must be let in as any sender."
    )
    host: str = Field("", description="Address of the node that takes films; empty for this machine.")
    score_tolerance: float = Field(0.01, gt=0, le=1, description="How far a score may be from the accepted one.")
    measurement_tolerance: float = Field(
        0.02, gt=0, le=1, description="How far a measurement may be from the accepted one, as a share of that."
    )
    ratio_tolerance: float = Field(
        0.03, gt=0, le=1, description="How far the cardiothoracic ratio may be from the phantom's own."
    )
    timeout_s: Seconds = Field(300.0, description="How long reading the phantoms may take, in seconds.")
