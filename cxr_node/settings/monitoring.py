"""Settings of model monitoring: drift and constancy."""

import json
from collections.abc import Iterator
from datetime import date, time
from typing import Annotated

from pydantic import AfterValidator, Field

from cxr_node.domain.section import Seconds, Section, Title
from cxr_node.net.tls_settings import TlsClient


def _day(text: str) -> str:
    try:
        date.fromisoformat(text or "2026-01-31")
    except ValueError:
        raise ValueError(f"{json.dumps(text[:40])} is not right; expected a day such as 2026-01-31") from None
    return text


Day = Annotated[str, AfterValidator(_day)]


class DriftSection(Section):
    """Drift detection: daily statistics of each device against a reference; docs/explanation/monitoring.md."""

    enabled: bool = Field(True, description="Whether daily statistics are computed and tested.")
    reference_films: int = Field(
        1000, ge=50, description="Films in a device's reference window: its first whole days with a model."
    )
    reference_days: int = Field(7, ge=1, le=365, description="Minimum days of a reference window.")
    reference_from: Day = Field(
        "", description="First day of a declared reference window, as 2026-01-31; empty: the first films."
    )
    reference_until: Day = Field(
        "", description="Last day of the declared reference window. A model with too few films in it gets its own."
    )
    window_days: int = Field(7, ge=1, le=28, description="Newest days, which are compared with the reference.")
    minimum_films: int = Field(
        50, ge=20, description="Minimum films in either window; the newest days grow up to 28 for a quiet device."
    )
    alpha: float = Field(
        0.01, gt=0, le=0.2, description="Probability of an alarm on a day without a change (family-wise error rate)."
    )
    least_score_effect: float = Field(
        0.1, ge=0, le=1, description="Kolmogorov-Smirnov statistic of the scores from which a difference is drift."
    )
    least_rate_effect: float = Field(
        0.05, ge=0, le=1, description="Difference of rates (called present, not analysed) from which it is drift."
    )
    least_turnaround_effect: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Kolmogorov-Smirnov statistic of the times from film to report from which it is drift.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for a declared reference window without a day."""
        if bool(self.reference_from) != bool(self.reference_until):
            yield f"{key}.reference_from and {key}.reference_until: set both, or neither"
        elif self.reference_until < self.reference_from:
            yield f"{key}.reference_until: must not be before {key}.reference_from"


def _time_of_day(text: str) -> str:
    try:
        time.fromisoformat(text or "05:30")
    except ValueError:
        raise ValueError(f"{json.dumps(text[:40])} is not right; expected a time such as 05:30") from None
    return text


class ConstancySection(TlsClient):
    """Constancy check: phantoms that the node sends to itself, against a baseline. None of their results leaves."""

    at: Annotated[str, AfterValidator(_time_of_day)] = Field(
        "", description="Local time of the daily check, as 05:30; empty: only by `cxr-node constancy run`."
    )
    calling_ae_title: Title = Field(
        "CXRCONSTANCY", description="Calling AE title of the check; [receive] must admit it like any sender."
    )
    host: str = Field("", description="Address of the receiving node; empty: this machine.")
    score_tolerance: float = Field(0.01, gt=0, le=1, description="Tolerance of a score from its baseline.")
    measurement_tolerance: float = Field(
        0.02, gt=0, le=1, description="Tolerance of a measurement from its baseline, as a fraction of it."
    )
    ratio_tolerance: float = Field(
        0.03, gt=0, le=1, description="Tolerance of the cardiothoracic ratio from that of the phantom."
    )
    timeout_s: Seconds = Field(300.0, description="Time limit for reading the phantoms, in seconds.")
